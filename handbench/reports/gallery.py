"""Pictures of a report: prediction over truth, cut around the hand, small enough to embed."""

from __future__ import annotations

import base64
import io
import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from handbench.camera import transform_points
from handbench.drawing import Picture, blank, draw_comparison, zoom
from handbench.hdf5.reader import HandFile, SplitReader
from handbench.reports.picks import HARMLESS, OFF, Codes
from handbench.reports.summary import SIDES, hand_means
from handbench.scores.error_classes import NAMES, NOT_DIAGNOSED
from handbench.scores.sample_errors import SampleErrors

THUMBNAIL_PX = 256
JPEG_QUALITY = 75

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Thumbnail:
    """One picture with its caption.

    Attributes
    ----------
    source
        ``data:image/jpeg;base64,…``.
    sample_id
        Name of the sample.
    side
        ``"right"``, ``"left"`` or ``"side unknown"``.
    error_px
        Mean error over the labelled joints, source px; None for a missed hand.
    share_of_hand
        The same over the longer side of the box around the labelled joints; None if undefined.
    model
        Whose prediction it is, where pictures of several models stand side by side; else "".
    codes
        One letter a joint: its kind of error (:func:`letters`). By these the page filters.
    """

    source: str
    sample_id: str
    side: str
    error_px: float | None
    share_of_hand: float | None
    model: str = ""
    codes: str = ""

    @property
    def kinds(self) -> str:
        """Errors of the hand by kind, the most frequent first: ``"4 swap, 1 miss"``."""
        if self.error_px is None:
            return ""
        counts = {letter: self.codes.count(letter) for letter in sorted(set(self.codes))}
        wrong = {letter: n for letter, n in counts.items() if letter in KIND_OF}
        ranked = sorted(wrong, key=lambda letter: -wrong[letter])
        return ", ".join(f"{wrong[letter]} {KIND_OF[letter]}" for letter in ranked[:2])

    @property
    def alternative(self) -> str:
        """What the picture shows, for those who do not see it."""
        hand = "hand" if self.side == SIDES[-1] else f"{self.side} hand"
        whose = f" of {self.model}" if self.model else ""
        if self.error_px is None:
            return f"Sample {self.sample_id}, {hand}: the truth; no prediction{whose}."
        return (
            f"Sample {self.sample_id}, {hand}: prediction{whose} over truth, mean error "
            f"{self.error_px:.1f} px."
        )


class Gallery:
    """Makes thumbnails of one split.

    Parameters
    ----------
    data
        The file with pictures and truth.
    split
        Name of the split.
    photos
        Show the photos, or only skeletons on plain grey.

    Attributes
    ----------
    bytes
        What all pictures made so far take on the page.
    """

    def __init__(self, data: HandFile, split: str, *, photos: bool) -> None:
        self.photos = photos
        self.bytes = 0
        self._split: SplitReader = data[split]
        ids = self._split.column("sample_id").tolist()
        self._row = {name: row for row, name in enumerate(ids)}

    def thumbnails(
        self,
        errors: SampleErrors,
        rows: Sequence[int],
        *,
        model: str = "",
        codes: Codes | None = None,
    ) -> list[Thumbnail]:
        """Draw the rows of `errors` that the file holds, in the given order."""
        return [
            self._thumbnail(errors, row, model, "" if codes is None else letters(codes[row]))
            for row in rows
            if str(errors.sample_id[row]) in self._row
        ]

    def _thumbnail(self, errors: SampleErrors, row: int, model: str, codes: str) -> Thumbnail:
        mean = float(hand_means(errors.errors_px[[row]])[0])
        name = str(errors.sample_id[row])
        sample = self._split[self._row[name]]
        found = bool(np.isfinite(mean))
        prediction = transform_points(sample.crop, errors.keypoints_px[row]) if found else None
        picture = compare(
            sample.image if self.photos else blank(*sample.extra["image_size"]),
            prediction,
            sample.keypoints_2d,
            sample.valid_2d,
            follow=not model,
        )
        tight = float(errors.tight_px[row])
        source = jpeg_address(picture)
        self.bytes += len(source)
        return Thumbnail(
            source=source,
            sample_id=name,
            side=SIDES.get(int(errors.is_right[row]), SIDES[-1]),
            error_px=mean if found else None,
            share_of_hand=mean / tight if found and tight > 0 else None,
            model=model,
            codes=codes,
        )


def letters(codes: Codes) -> str:
    """(21,) codes of kinds of errors as one letter a joint; a dash where nothing is known.

    >>> letters(np.array([0, 3, OFF, NOT_DIAGNOSED], dtype=np.uint8))
    'adx-'
    """
    return "".join(letter(int(code)) for code in codes)


def letter(code: int) -> str:
    """The letter of one code."""
    return {NOT_DIAGNOSED: "-", OFF: "x"}.get(code) or string.ascii_lowercase[code]


KIND_OF: dict[str, str] = {
    **{letter(code): name for code, name in enumerate(NAMES) if code not in HARMLESS},
    letter(OFF): "off by more than a tenth",
}
"""Letter of every kind of error that is worth looking for → its name."""


def compare(
    picture: Picture,
    prediction: Floats | None,
    truth: Floats,
    valid: npt.NDArray[np.bool_],
    size: int = THUMBNAIL_PX,
    *,
    follow: bool = True,
) -> Picture:
    """Cut `picture` around a hand and draw prediction over truth.

    Parameters
    ----------
    picture
        (H, W, 3) uint8 RGB.
    prediction, truth
        (21, 2) px of `picture`; `prediction` may be None.
    valid
        (21,) labelled joints.
    size
        Side of the result in px.
    follow
        Make room for the prediction. Without, the cut depends on the truth alone, so that pictures
        of several models show the same part.
    """
    labelled = truth[valid & np.isfinite(truth).all(axis=1)]
    shown = labelled
    if follow and prediction is not None and len(labelled):
        # Room for predictions nearby; a wild one may leave the picture.
        reach = 0.75 * max(float(np.ptp(labelled, axis=0).max()), 8.0)
        low, high = labelled.min(axis=0) - reach, labelled.max(axis=0) + reach
        finite = prediction[np.isfinite(prediction).all(axis=1)]
        shown = np.concatenate([labelled, np.clip(finite, low, high)])
    square, matrix = zoom(picture, shown, size, padding=1.35 if follow else 1.8)
    return draw_comparison(
        square,
        None if prediction is None else transform_points(matrix, prediction),
        transform_points(matrix, truth),
        valid,
    )


def jpeg_address(picture: Picture, quality: int = JPEG_QUALITY) -> str:
    """Return a picture as a ``data:`` address of a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
