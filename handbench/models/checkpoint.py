"""Networks on disk: tensors and plain values only, so that a stranger's file runs no code.

A run directory holds ``best.pt`` (the weights with the smallest validation error) and ``last.pt``
(the same layout with the state of training beside it).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from handbench.errors import TrainError
from handbench.files import atomic_path
from handbench.hand import NUM_JOINTS
from handbench.home import BEST
from handbench.models.architecture import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Normalisation,
    check_input_size,
)
from handbench.models.baseline import Baseline
from handbench.models.codecs import Codec, Unbiased, make_codec
from handbench.models.looks import ONCE, Looks

FORMAT_VERSION = 2
"""Version 2 added codec, normalisation and box factor; files of version 1 are read as the unbiased
codec with ImageNet's numbers on RGB, which is all there was."""
LAST = "last.pt"
_VERSION_1: dict[str, Any] = {
    "codec": "unbiased",
    "box_factor": 1.0,
    "channel_order": "rgb",
    "mean": IMAGENET_MEAN,
    "std": IMAGENET_STD,
}


@dataclass(frozen=True)
class TrainedModel:
    """A network with what is needed to use it.

    Attributes
    ----------
    network
        On the CPU when it was loaded.
    size
        Side of its input in px.
    codec
        What its maps mean.
    name
        For predictions and tables.
    training_data
        ``dataset/split`` of everything it has seen; empty for an untrained one.
    box_factor
        Side of what it sees, as a share of the stored image's.
    looks
        What it should look at beside an image as it is, where nothing else is asked for.
    """

    network: Baseline
    size: int
    codec: Codec
    name: str
    training_data: tuple[str, ...]
    box_factor: float = 1.0
    looks: Looks = ONCE


def new_network(depth: int, seed: int, normalisation: Normalisation | None = None) -> Baseline:
    """Make a network with random weights that follow from `seed` alone."""
    # Initialisation draws from torch's global generator, which is put back afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Baseline(depth, normalisation=normalisation)
    # Convolutions on images whose channels lie together are faster on CPUs and tensor cores.
    laid_out: Baseline = network.to(memory_format=torch.channels_last)
    return laid_out


def untrained_model(depth: int = 18, size: int = 128, seed: int = 0) -> TrainedModel:
    """Random weights: the floor that any training must beat."""
    check_input_size(size)
    network = new_network(depth, seed)
    return TrainedModel(network, size, Unbiased(), f"untrained ResNet-{depth}", ())


def save_model(path: Path, model: TrainedModel, training: dict[str, Any] | None = None) -> None:
    """Write a checkpoint atomically; `training` is the state that resuming needs."""
    values: dict[str, Any] = {
        "handbench_checkpoint": FORMAT_VERSION,
        "depth": model.network.depth,
        "joints": model.network.joints,
        "size": model.size,
        "codec": model.codec.name,
        "sigma": model.codec.sigma,
        "grid": model.codec.grid,
        "box_factor": model.box_factor,
        "channel_order": model.network.normalisation.channel_order,
        "mean": list(model.network.normalisation.mean),
        "std": list(model.network.normalisation.std),
        "name": model.name,
        "training_data": list(model.training_data),
        "looks": vars(model.looks),
        "weights": model.network.state_dict(),
    }
    if training is not None:
        values["training"] = training
    # torch says why a write failed only of files that Python writes.
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        torch.save(values, stream)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running any code in it.

    Raises
    ------
    TrainError
        If the file is missing, cut off, of another kind or of a newer version.
    """
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainError(
            f"expected a checkpoint at {path}, found no such file; `handbench train baseline` "
            "makes one"
        ) from error
    except Exception as error:
        raise TrainError(
            f"the checkpoint {path} cannot be read: it is cut off, damaged, or holds more than "
            "tensors and plain values; take another copy or train again"
        ) from error
    if not isinstance(values, dict) or "handbench_checkpoint" not in values:
        raise TrainError(
            f"{path} is a torch file but no handbench checkpoint: expected one that `handbench "
            "train` wrote"
        )
    if values["handbench_checkpoint"] > FORMAT_VERSION:
        raise TrainError(
            f"the checkpoint {path} has version {values['handbench_checkpoint']}; this handbench "
            f"reads {FORMAT_VERSION}: upgrade handbench"
        )
    return values


def load_model(path: Path) -> TrainedModel:
    """Load the network of a run directory (its best weights) or of a checkpoint.

    Parameters
    ----------
    path
        Directory with ``best.pt``, or a checkpoint file.

    Raises
    ------
    TrainError
        If there is none, or it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / BEST).exists():
            raise TrainError(
                f"expected a training run with {BEST} in {path}, found none: give the directory "
                "that `handbench train baseline` wrote"
            )
        path = path / BEST
    values = read_checkpoint(path)
    if values["handbench_checkpoint"] == 1:
        values = {**_VERSION_1, **values}
    try:
        normalisation = Normalisation(
            values["channel_order"], tuple(values["mean"]), tuple(values["std"])
        )
        network = Baseline(values["depth"], values["joints"], normalisation)
        network.load_state_dict(values["weights"])
        model = TrainedModel(
            network=network.to(memory_format=torch.channels_last),
            size=int(values["size"]),
            codec=make_codec(values["codec"], float(values["sigma"]), values["grid"]),
            name=str(values["name"]),
            training_data=tuple(values["training_data"]),
            box_factor=float(values["box_factor"]),
            looks=Looks(**values.get("looks", {})),
        )
    except (KeyError, TypeError, ValueError, RuntimeError, TrainError) as error:
        raise TrainError(
            f"the checkpoint {path} does not fit its own description ({error}): train again"
        ) from error
    if network.joints != NUM_JOINTS:
        raise TrainError(f"{path} predicts {network.joints} joints, a hand has {NUM_JOINTS}")
    return model


def copy_weights(network: Baseline, source: Path) -> tuple[str, ...]:
    """Start `network` from a trained one, for fine-tuning.

    Returns
    -------
    What the source was trained on.

    Raises
    ------
    TrainError
        If the source has another depth or cannot be read.
    """
    model = load_model(source)
    if model.network.depth != network.depth:
        raise TrainError(
            f"--init {source} holds a ResNet-{model.network.depth}, but --depth is "
            f"{network.depth}: use --depth {model.network.depth}"
        )
    if model.network.normalisation != network.normalisation:
        raise TrainError(
            f"--init {source} takes its input as {_words(model.network.normalisation)}, but this "
            f"run as {_words(network.normalisation)}: use --channel-order "
            f"{model.network.normalisation.channel_order}, or start without --init"
        )
    network.load_state_dict(model.network.state_dict())
    return model.training_data


def _words(normalisation: Normalisation) -> str:
    mean = ", ".join(f"{value:g}" for value in normalisation.mean)
    return f"{normalisation.channel_order.upper()} with mean {mean}"
