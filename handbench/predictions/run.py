"""Run the baseline over a split or over plain pictures → predictions in source pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from handbench.camera import crop_matrix, image_box, transform_points
from handbench.errors import PredictionsError, TrainError
from handbench.hdf5.reader import HandFile
from handbench.predictions.record import Predictions

if TYPE_CHECKING:
    import torch

    from handbench.models.checkpoint import TrainedModel
    from handbench.models.heatmaps import Decoding
    from handbench.models.inference import Located

BOX_WORDS = {
    "annotation": "gt_annotation",
    "keypoints": "gt_keypoints",
    "detector": "detector",
    "image": "image",
}
"""Where a file's boxes come from → the same in the words of a predictions file."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def open_model(name: str) -> TrainedModel:
    """The model that `predict` was asked for.

    Parameters
    ----------
    name
        A run directory, a checkpoint, or ``untrained``: a ResNet-18 with random weights, the floor
        any training must beat.

    Raises
    ------
    TrainError
        If `name` is nothing that can be run.
    """
    from handbench.models.checkpoint import load_model, untrained_model

    if name == "untrained":
        return untrained_model()
    path = Path(name)
    if path.suffix == ".onnx" or name == "mediapipe" or (":" in name and not path.exists()):
        raise TrainError(
            f"MODEL {name!r} cannot be run by this version: it runs its own baseline (a run "
            "directory or a checkpoint); any other model can write a predictions file itself, see "
            "docs/predictions.md"
        )
    if not path.exists():
        raise TrainError(
            f"expected MODEL to be a run directory, a checkpoint or `untrained`, found nothing at "
            f"{name}: `handbench train baseline` makes a run"
        )
    return load_model(path)


def predict_split(
    model: TrainedModel | Path,
    data: Path,
    split: str = "test",
    *,
    chosen: npt.NDArray[np.int64] | None = None,
    batch_size: int = 64,
    device: str = "auto",
    precision: str = "auto",
    workers: int = 0,
    flip_test: bool = False,
    decoding: Decoding | None = None,
    advance: Callable[[int], object] | None = None,
) -> Predictions:
    """Predict the samples of a split.

    Parameters
    ----------
    model
        A loaded model (also an untrained one), a run directory or a checkpoint.
    data
        HDF5 file of format 1.x whose images have one size.
    split
        Name of a split.
    chosen
        Row numbers to predict; all by default.
    batch_size, device, precision, workers
        How to compute; see :mod:`handbench.models.inference`.
    flip_test
        Average heatmaps with those of the mirror image.
    decoding
        How to find a heatmap's peak (:func:`handbench.models.heatmaps.decode`) if not as the
        model's codec does.
    advance
        Called with a number of images after every batch.

    Returns
    -------
    Keypoints in *source* pixels; `scores` are heatmap peaks cut to 0 … 1, `score` their mean.

    Raises
    ------
    TrainError
        If the model cannot be loaded or the device is absent.
    FormatError
        If the file has no such split.
    """
    from handbench.models.checkpoint import load_model
    from handbench.models.inference import locate
    from handbench.models.rows import HandRows

    if isinstance(model, str | Path):
        model = load_model(Path(model))
    with HandFile(data) as file:
        reader = file[split]
        box = BOX_WORDS[reader.box_source]
        padding = reader.box_padding
        dataset = file.dataset
    rows = HandRows([(Path(data), split, chosen)], least=model.size / model.box_factor)
    found = locate(
        model.network,
        rows,
        size=model.size,
        codec=model.codec,
        box_factor=model.box_factor,
        batch_size=batch_size,
        device=device,
        precision=precision,
        workers=workers,
        flip_test=flip_test,
        decoding=decoding,
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
        flip_test=flip_test,
    )


def predict_images(
    model: TrainedModel | Path,
    folder: Path,
    *,
    batch_size: int = 16,
    device: str = "auto",
    precision: str = "auto",
    flip_test: bool = False,
    decoding: Decoding | None = None,
    advance: Callable[[int], object] | None = None,
) -> Predictions:
    """Predict one hand in every picture below a folder; the whole picture is the box.

    Parameters
    ----------
    model, batch_size, device, precision, flip_test, decoding, advance
        As for :func:`predict_split`.
    folder
        Searched with its subfolders for JPEG, PNG, BMP and WebP. A photo's EXIF orientation is
        applied first, so pixels are those a viewer shows.

    Returns
    -------
    Ids are paths below `folder` without extension; the dataset is called like the folder, the
    split ``images``.

    Raises
    ------
    PredictionsError
        If there are no pictures, one cannot be read, or two would have one id.
    """
    from handbench.models.checkpoint import load_model
    from handbench.models.inference import locate

    if isinstance(model, str | Path):
        model = load_model(Path(model))
    paths, ids = find_images(Path(folder))
    pictures = _ImageFiles(paths, model.size)
    found = locate(
        model.network,
        pictures,
        size=model.size,
        codec=model.codec,
        box_factor=model.box_factor,
        batch_size=batch_size,
        device=device,
        precision=precision,
        flip_test=flip_test,
        decoding=decoding,
        advance=advance,
    )
    return _predictions(
        model,
        found,
        dataset=Path(folder).resolve().name or "images",
        split="images",
        ids=np.array(ids),
        keypoints=transform_points(np.linalg.inv(pictures.crops), found.keypoints),
        box="image",
        padding=1.0,
        flip_test=flip_test,
    )


def find_images(folder: Path) -> tuple[list[Path], list[str]]:
    """Pictures below a folder, sorted, and their ids.

    Raises
    ------
    PredictionsError
        If there are none, or two differ only in their extension.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise PredictionsError(
            f"expected pictures ({', '.join(IMAGE_SUFFIXES)}) in {folder}, found none"
        )
    names: dict[str, Path] = {}
    for path in paths:
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in names:
            raise PredictionsError(
                f"{path} and {names[name]} would both have the id {name!r}: rename one of them"
            )
        names[name] = path
    return paths, list(names)


class _ImageFiles:
    """Plain pictures, fitted into the network's square, black outside."""

    def __init__(self, paths: Sequence[Path], size: int) -> None:
        self._paths = paths
        self.size = (size, size)
        self.crops: npt.NDArray[np.float64] = np.full((len(paths), 3, 3), np.nan)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, positions: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        images = np.stack([self._image(position) for position in positions])
        return torch.from_numpy(images).permute(0, 3, 1, 2), torch.as_tensor(list(positions))

    def _image(self, position: int) -> npt.NDArray[np.uint8]:
        from PIL import Image, ImageOps

        from handbench.images import crop_square

        path = self._paths[position]
        try:
            with Image.open(path) as picture:
                pixels = np.array(ImageOps.exif_transpose(picture).convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise PredictionsError(f"the picture {path} cannot be read: {error}") from error
        height, width = pixels.shape[:2]
        crop = crop_matrix(image_box(width, height), 1.0, self.size[0])
        self.crops[position] = crop
        return crop_square(pixels, crop, self.size[0])


def _predictions(
    model: TrainedModel,
    found: Located,
    *,
    dataset: str,
    split: str,
    ids: npt.NDArray[np.str_],
    keypoints: npt.NDArray[np.float64],
    box: str,
    padding: float,
    flip_test: bool,
) -> Predictions:
    from handbench.models.baseline import count_parameters

    scores = np.clip(found.peaks, 0.0, 1.0)
    description: dict[str, Any] = {
        "name": model.name,
        "params": count_parameters(model.network),
        "training_data": list(model.training_data),
        "note": f"handbench baseline, ResNet-{model.network.depth}, input {model.size} px",
    }
    return Predictions(
        dataset=dataset,
        split=split,
        model=description,
        id=ids,
        keypoints=keypoints,
        scores=scores,
        score=scores.mean(axis=1),
        input={
            "box": box,
            "padding": round(padding * model.box_factor, 6),
            "tta": "flip" if flip_test else "none",
            "ms_per_image": round(found.ms_per_image, 3),
        },
        gt_used=("box",) if box.startswith("gt_") else (),
    )
