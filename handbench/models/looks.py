"""How often a model looks at an image before it answers (test-time augmentation)."""

from __future__ import annotations

from dataclasses import dataclass

from handbench.errors import TrainError


@dataclass(frozen=True)
class Looks:
    """What a model looks at beside the image as it is.

    Attributes
    ----------
    flip
        The mirror image too; both heatmaps are averaged. For networks that were taught mirrored
        hands.
    views
        Nine turned and resized views; a coordinate is the median of nine.
    sides
        The mirror image too; of both answers the surer one counts, hand by hand. For networks that
        were taught one side: a hand seen from where it was never seen may be the mirror image of
        one that was.

    Raises
    ------
    TrainError
        If both answers should be averaged and chosen between.
    """

    flip: bool = False
    views: bool = False
    sides: bool = False

    def __post_init__(self) -> None:
        if self.flip and self.sides:
            raise TrainError(
                "the flip test averages a hand with its mirror image and the side test chooses "
                "between them, found both: leave one away (--no-flip-test or --no-side-test)"
            )

    def __str__(self) -> str:
        """``none``, or the names joined by plus signs, as in ``flip+views``."""
        return "+".join(name for name, given in vars(self).items() if given) or "none"

    def with_options(self, flip: bool | None, views: bool | None, sides: bool | None) -> Looks:
        """The same but for what is not None."""
        return Looks(
            flip=self.flip if flip is None else flip,
            views=self.views if views is None else views,
            sides=self.sides if sides is None else sides,
        )


ONCE = Looks()
"""The image as it is."""
