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
from handbench.heatmaps import Grid
from handbench.models.architecture import check_input_size
from handbench.models.baseline import Baseline

FORMAT_VERSION = 1
BEST = "best.pt"
LAST = "last.pt"


@dataclass(frozen=True)
class TrainedModel:
    """A network with what is needed to use it.

    Attributes
    ----------
    network
        On the CPU when it was loaded.
    size
        Side of its input in px.
    sigma, grid
        Of the targets it was trained on.
    name
        For predictions and tables.
    training_data
        ``dataset/split`` of everything it has seen; empty for an untrained one.
    """

    network: Baseline
    size: int
    sigma: float
    grid: Grid
    name: str
    training_data: tuple[str, ...]


def new_network(depth: int, seed: int) -> Baseline:
    """Make a network with random weights that follow from `seed` alone."""
    # Initialisation draws from torch's global generator, which is put back afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Baseline(depth)
    # Convolutions on images whose channels lie together are faster on CPUs and tensor cores.
    laid_out: Baseline = network.to(memory_format=torch.channels_last)
    return laid_out


def untrained_model(depth: int = 18, size: int = 128, seed: int = 0) -> TrainedModel:
    """Random weights: the floor that any training must beat."""
    check_input_size(size)
    network = new_network(depth, seed)
    return TrainedModel(network, size, 2.0, "center", f"untrained ResNet-{depth}", ())


def save_model(path: Path, model: TrainedModel, training: dict[str, Any] | None = None) -> None:
    """Write a checkpoint atomically; `training` is the state that resuming needs."""
    values: dict[str, Any] = {
        "handbench_checkpoint": FORMAT_VERSION,
        "depth": model.network.depth,
        "joints": model.network.joints,
        "size": model.size,
        "sigma": model.sigma,
        "grid": model.grid,
        "name": model.name,
        "training_data": list(model.training_data),
        "weights": model.network.state_dict(),
    }
    if training is not None:
        values["training"] = training
    with atomic_path(path) as temporary:
        torch.save(values, temporary)


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
    try:
        network = Baseline(values["depth"], values["joints"])
        network.load_state_dict(values["weights"])
        model = TrainedModel(
            network=network.to(memory_format=torch.channels_last),
            size=int(values["size"]),
            sigma=float(values["sigma"]),
            grid=values["grid"],
            name=str(values["name"]),
            training_data=tuple(values["training_data"]),
        )
    except (KeyError, TypeError, RuntimeError) as error:
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
    network.load_state_dict(model.network.state_dict())
    return model.training_data
