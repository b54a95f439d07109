"""Run a model over plain pictures → predictions in their own pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictionsError
from handbench.predictions.record import Predictions
from handbench.predictions.run import hand_columns, input_block, model_block
from handbench.predictors.boxes import Box, BoxFile, hand_box
from handbench.predictors.crops import DEFAULT_PADDING, cut_for, move
from handbench.predictors.interface import Hand, Predictor
from handbench.predictors.pictures import PictureFile, read_picture
from handbench.predictors.timing import Timing

Image = npt.NDArray[np.uint8]
_Read = tuple[PictureFile, Image]

_MOST_PIXELS = 50_000_000
"""Pixels in memory at a time: four photos of a phone, however many a batch may have."""


@dataclass(frozen=True)
class PictureHand:
    """What was found in one box of a picture.

    Attributes
    ----------
    id
        That of the picture; with ``#0``, ``#1``, … where the picture has several boxes.
    picture
        Which picture.
    width, height
        Of the upright picture, px.
    box
        Where the model looked, unpadded; None: the whole picture, or a detector found nothing.
    hand
        Points in px of the upright picture; None: no hand was found.
    """

    id: str
    picture: PictureFile
    width: int
    height: int
    box: Box | None
    hand: Hand | None


@dataclass
class PicturesSeen:
    """All that came out.

    Attributes
    ----------
    predictions
        For a file.
    hands
        The same, one entry a row.
    left_out
        A sentence for every picture that could not be read.
    """

    predictions: Predictions
    hands: list[PictureHand]
    left_out: list[str]


def predict_pictures(
    model: Predictor,
    pictures: Sequence[PictureFile],
    *,
    dataset: str,
    boxes: BoxFile | Box | None = None,
    detector: Predictor | None = None,
    padding: float | None = None,
    batch_size: int = 16,
    skip_bad: bool = False,
    look: Callable[[PictureFile, Image, list[PictureHand]], object] = lambda *_: None,
    advance: Callable[[int], object] = lambda _: None,
) -> PicturesSeen:
    """Predict a hand in every picture, or in every box of it.

    Parameters
    ----------
    model
        Any; one that finds hands by itself gets whole pictures, unless there are boxes.
    pictures
        Which; see :func:`handbench.predictors.pictures.find_pictures`.
    dataset
        What to call them all in the predictions; the split is ``images``.
    boxes
        Where the hands are: of every picture, or one for all. Without them the whole picture is
        the box.
    detector
        A model that finds hands in whole pictures, to make the box.
    padding
        Factor on the longer side of a box.
    batch_size
        Pictures at a time; fewer where they are large, since their pixels are kept so long.
    skip_bad
        Leave out pictures that cannot be read instead of stopping at the first.
    look
        Called with every picture, its pixels and what was found, for drawing.
    advance
        Called with a number of pictures, for a progress bar.

    Raises
    ------
    PredictionsError
        If a picture cannot be read, has no box, or none could be read.
    """
    padding = DEFAULT_PADDING if padding is None else padding
    run = _Run(model, boxes, detector, padding, skip_bad=skip_bad)
    hands: list[PictureHand] = []
    for batch in run.read(pictures, batch_size, advance):
        for picture, image, found in run.find(batch):
            look(picture, image, found)
            hands += found
            advance(1)
    if not hands:
        raise PredictionsError(f"none of {len(pictures):,} pictures can be read: {run.left_out[0]}")
    box = "image"
    if boxes is not None:
        box = "gt_annotation"
    elif detector is not None:
        box = "detector"
    predictions = Predictions(
        dataset=dataset,
        split="images",
        model=model_block(model),
        id=np.array([hand.id for hand in hands]),
        **hand_columns([hand.hand for hand in hands]),
        frame_3d=str(getattr(model, "frame_3d", "camera")),
        input=input_block(
            model,
            {"box": box, "padding": 1.0 if box == "image" else padding, "image": "source"},
            {
                **({} if detector is None else {"detector": detector.name}),
                **run.timing.summary(),
            },
        ),
        gt_used=("box",) if boxes is not None else (),
    )
    return PicturesSeen(predictions, hands, run.left_out)


@dataclass
class _Run:
    """What stays the same from batch to batch, and what adds up."""

    model: Predictor
    boxes: BoxFile | Box | None
    detector: Predictor | None
    padding: float
    skip_bad: bool
    timing: Timing = field(default_factory=Timing)
    left_out: list[str] = field(default_factory=list)

    def read(
        self,
        pictures: Sequence[PictureFile],
        batch_size: int,
        advance: Callable[[int], object],
    ) -> Iterator[list[_Read]]:
        """Pictures that can be read, some at a time; those that cannot count as advance."""
        batch: list[_Read] = []
        pixels = 0
        for picture in pictures:
            try:
                with self.timing.part("read"):
                    image = read_picture(picture.path)
            except PredictionsError as error:
                if not self.skip_bad:
                    raise PredictionsError(
                        f"{error}; --skip-bad leaves such pictures out"
                    ) from error
                self.left_out.append(str(error))
                advance(1)
                continue
            batch.append((picture, image))
            pixels += image.shape[0] * image.shape[1]
            if len(batch) == batch_size or pixels > _MOST_PIXELS:
                yield batch
                batch, pixels = [], 0
        if batch:
            yield batch

    def find(self, batch: list[_Read]) -> Iterator[tuple[PictureFile, Image, list[PictureHand]]]:
        """Pictures, their pixels, and a hand for each of their boxes."""
        places = [
            (row, name, box, seen)
            for row, (picture, image) in enumerate(batch)
            for name, box, seen in self._places(picture, image)
        ]
        found = self._find([(batch[row][1], box) for row, _, box, seen in places if seen])
        for row, (picture, image) in enumerate(batch):
            height, width = image.shape[:2]
            hands = [
                PictureHand(name, picture, width, height, box, next(found) if seen else None)
                for at, name, box, seen in places
                if at == row
            ]
            yield picture, image, hands

    def _places(self, picture: PictureFile, image: Image) -> Iterator[tuple[str, Box | None, bool]]:
        """(id, box, whether to look) of the hands of a picture."""
        if self.boxes is not None:
            boxes = self.boxes.of(picture) if isinstance(self.boxes, BoxFile) else [self.boxes]
            for number, box in enumerate(boxes):
                name = picture.id if len(boxes) == 1 else f"{picture.id}#{number}"
                yield name, box, True
        elif self.detector is not None:
            with self.timing.part("detector"):
                hand = self.detector([image])[0]
            corners = None if hand is None else hand_box(hand, image)
            yield picture.id, None if corners is None else _xywh(corners), corners is not None
        else:
            yield picture.id, None, True

    def _find(self, wanted: Sequence[tuple[Image, Box | None]]) -> Iterator[Hand | None]:
        """Hands in boxes of images, in order."""
        if not wanted:
            return
        with self.timing.part("crop"):
            cuts = [
                cut_for(self.model, image, _corners(box), self.padding) for image, box in wanted
            ]
        with self.timing.batch(len(cuts)):
            hands = self.model([crop for crop, _ in cuts])
        for hand, (_, matrix) in zip(hands, cuts, strict=True):
            yield None if hand is None else move(hand, np.linalg.inv(matrix))


def dataset_name(places: Sequence[Path]) -> str:
    """What to call pictures: like their folder; ``images`` for files from several places."""
    only = places[0] if len(places) == 1 else None
    return (only.resolve().name if only is not None and only.is_dir() else "") or "images"


def _corners(box: Box | None) -> npt.NDArray[np.float64] | None:
    if box is None:
        return None
    x, y, w, h = box
    return np.array([x, y, x + w, y + h])


def _xywh(corners: npt.NDArray[Any]) -> Box:
    left, top, right, bottom = corners.tolist()
    return left, top, right - left, bottom - top
