"""Run a model over a split → predictions in source pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from handbench.hand import NUM_JOINTS
from handbench.hdf5.reader import HandFile
from handbench.predictions.record import Predictions
from handbench.predictors.crops import cut_for, move
from handbench.predictors.interface import Hand, Predictor
from handbench.predictors.jitter import BoxJitter
from handbench.predictors.timing import Timing, summarise
from handbench.predictors.views import BOX_WORDS, RowViews

if TYPE_CHECKING:
    from handbench.models.architecture import Decoding
    from handbench.models.checkpoint import TrainedModel
    from handbench.models.inference import Located
    from handbench.models.looks import Looks
    from handbench.predictors.baseline import BaselinePredictor


def predict_split(
    model: Predictor | TrainedModel | Path,
    data: Path,
    split: str = "test",
    *,
    chosen: npt.NDArray[np.int64] | None = None,
    batch_size: int = 64,
    device: str = "auto",
    precision: str = "auto",
    workers: int = 0,
    looks: Looks | None = None,
    decoding: Decoding | None = None,
    source: Path | None = None,
    padding: float | None = None,
    jitter: BoxJitter | None = None,
    advance: Callable[[int], object] | None = None,
) -> Predictions:
    """Predict the samples of a split.

    Parameters
    ----------
    model
        Any predictor; or, for our baseline, a loaded model (also an untrained one), a run
        directory or a checkpoint.
    data
        HDF5 file of format 1.x.
    split
        Name of a split.
    chosen
        Row numbers to predict; all by default.
    batch_size
        Images at a time. A model that finds hands by itself gets them one by one.
    device, precision, workers, looks, decoding
        Of the baseline; see :mod:`handbench.models.inference`; `looks` are by default those that
        the model was trained to be used with. They do not count for another predictor, which was
        opened with its own.
    source, padding, jitter
        What the model gets to see; see :class:`handbench.predictors.views.RowViews`.
    advance
        Called with a number of images after every batch.

    Returns
    -------
    Keypoints in *source* pixels; a hand that was not found is a row of NaN. `input` says what the
    model saw and how long it took (:func:`handbench.predictors.timing.summarise`).

    Raises
    ------
    TrainError
        If the model cannot be loaded or the device is absent.
    PredictorError
        If a model of another kind fails, or `source` does not hold the images.
    FormatError
        If the file has no such split.
    """
    from handbench.predictors.baseline import BaselinePredictor

    if isinstance(model, str | Path):
        from handbench.models.checkpoint import load_model

        model = load_model(Path(model))
    if not isinstance(model, Predictor):
        model = BaselinePredictor(model, device, precision, looks or model.looks, decoding)
    if (
        isinstance(model, BaselinePredictor)
        and source is None
        and padding is None
        and jitter is None
    ):
        return _baseline(model, data, split, chosen, batch_size, workers, advance)
    with HandFile(data) as file:
        reader = file[split]
        rows = np.arange(len(reader)) if chosen is None else chosen
        views = RowViews(
            reader,
            rows,
            whole_image=model.whole_image,
            source=source,
            padding=padding,
            jitter=jitter,
        )
        timing = Timing()
        hands: list[Hand | None] = []
        for start in range(0, len(views), step := 1 if model.whole_image else batch_size):
            positions = range(start, min(start + step, len(views)))
            hands += _predict_views(model, views, positions, timing)
            if advance is not None:
                advance(len(positions))
        return Predictions(
            dataset=file.dataset,
            split=split,
            model=model_block(model),
            id=views.sample_id,
            **hand_columns(hands),
            frame_3d=str(getattr(model, "frame_3d", "camera")),
            input=input_block(model, views.describe(), timing.summary()),
            gt_used=("box",) if views.box.startswith("gt_") else (),
        )


def _predict_views(
    model: Predictor, views: RowViews, positions: Sequence[int], timing: Timing
) -> list[Hand | None]:
    """Hands of some rows in source pixels and axes."""
    with timing.part("read"):
        images, boxes = zip(*(views.read(position) for position in positions))
    with timing.part("crop"):
        cuts = [cut_for(model, image, box, views.padding) for image, box in zip(images, boxes)]
    with timing.batch(len(cuts)):
        found = model([crop for crop, _ in cuts])
    hands: list[Hand | None] = []
    for position, hand, (_, matrix) in zip(positions, found, cuts, strict=True):
        if hand is not None:
            hand = move(hand, views.to_source(position) @ np.linalg.inv(matrix))
            if hand.is_right is not None and views.mirrored(position):
                hand = replace(hand, is_right=not hand.is_right)
            if hand.keypoints_3d is not None:
                turned = hand.keypoints_3d @ views.axes_to_source(position).T
                hand = replace(hand, keypoints_3d=turned)
        hands.append(hand)
    return hands


def hand_columns(hands: Sequence[Hand | None]) -> dict[str, Any]:
    """Columns of a predictions file; those that no hand has are None."""

    def stacked(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        nothing = np.full(shape, np.nan)
        values = [None if hand is None else getattr(hand, name) for hand in hands]
        rows = [nothing if value is None else np.asarray(value) for value in values]
        return np.array(rows, dtype=np.float64).reshape(-1, *shape)

    scores = stacked("scores", (NUM_JOINTS,))
    scores[np.isnan(scores).any(axis=1)] = np.nan  # a file knows all scores of a hand, or none
    metres = stacked("keypoints_3d", (NUM_JOINTS, 3)) / 1000
    sides = np.array([-1 if h is None or h.is_right is None else h.is_right for h in hands])
    return {
        "keypoints": stacked("keypoints", (NUM_JOINTS, 2)),
        "scores": None if np.isnan(scores).all() else scores,
        "score": stacked("score", ()),
        "keypoints_3d": None if np.isnan(metres).all() else metres,
        "is_right": None if (sides < 0).all() else sides.astype(np.int8),
    }


def model_block(model: Predictor) -> dict[str, Any]:
    """What a predictions file says of a model."""
    return {"name": model.name, **model.describe()}


def input_block(model: Predictor, seen: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """What a predictions file says of a model's input.

    Parameters
    ----------
    model
        Which may look at a part of its crop only, or also at its mirror image.
    seen
        Of the crops that it was given: ``box``, ``padding``, ``image`` and so on.
    more
        Fields behind these, such as times.
    """
    return {
        **seen,
        "padding": round(seen["padding"] * getattr(model, "box_factor", 1.0), 6),
        "tta": str(getattr(model, "looks", "none")),
        **more,
    }


def _baseline(
    model: BaselinePredictor,
    data: Path,
    split: str,
    chosen: npt.NDArray[np.int64] | None,
    batch_size: int,
    workers: int,
    advance: Callable[[int], object] | None,
) -> Predictions:
    """Stored images through the training's own loader: several processes, shrunk as decoded."""
    from handbench.models.inference import locate
    from handbench.models.rows import HandRows

    trained = model.model
    with HandFile(data) as file:
        reader = file[split]
        box, padding, dataset = BOX_WORDS[reader.box_source], reader.box_padding, file.dataset
    rows = HandRows([(Path(data), split, chosen)], least=trained.size / trained.box_factor)
    found = locate(
        trained.network,
        rows,
        size=trained.size,
        codec=trained.codec,
        box_factor=trained.box_factor,
        batch_size=batch_size,
        device=model.device,
        precision=model.precision,
        workers=workers,
        looks=model.looks,
        decoding=model.decoding,
        advance=advance,
    )
    return _predictions(
        model,
        found,
        dataset=dataset,
        split=split,
        ids=rows.labels.sample_id,
        keypoints=rows.labels.to_source(found.keypoints),
        box=box,
        padding=padding,
    )


def _predictions(
    model: BaselinePredictor,
    found: Located,
    *,
    dataset: str,
    split: str,
    ids: npt.NDArray[np.str_],
    keypoints: npt.NDArray[np.float64],
    box: str,
    padding: float,
) -> Predictions:
    scores = np.clip(found.peaks, 0.0, 1.0)
    return Predictions(
        dataset=dataset,
        split=split,
        model=model_block(model),
        id=ids,
        keypoints=keypoints,
        scores=scores,
        score=scores.mean(axis=1),
        input=input_block(
            model,
            {"box": box, "padding": padding, "image": "stored"},
            summarise(found.batch_ms, found.batch_images),
        ),
        gt_used=("box",) if box.startswith("gt_") else (),
    )
