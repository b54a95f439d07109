"""Everything that decides a training run, as one dataclass.

`handbench train baseline` shows each field as an option, and the run directory keeps them in
``settings.json``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handbench.errors import TrainError
from handbench.files import read_json
from handbench.heatmaps import GRIDS, Grid
from handbench.models.architecture import DEPTHS, check_input_size

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
SCHEDULES = ("cosine", "step")

MAY_CHANGE = ("out", "device", "workers")
"""Settings that a resumed run may change: they do not touch what is computed."""


def _help(text: str, choices: tuple[Any, ...] = (), unset: str = "") -> dict[str, Any]:
    """Metadata of a field; `unset` says what happens where it has no value."""
    return {"help": text, "choices": choices, "unset": unset}


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings of one run; the text of every field is its ``help`` metadata.

    `data` and `out` have no default. Sizes are in pixels, lengths of augmentation in shares of the
    image, angles in degrees.
    """

    data: tuple[Path, ...] = field(
        metadata=_help(
            "HDF5 file to train on; several may be given", unset="freihand in the home folder"
        )
    )
    out: Path = field(
        metadata=_help("run directory", unset="runs/<data>-resnet<depth> in the home folder")
    )

    split_train: str = field(default="train", metadata=_help("split to train on"))
    split_val: str = field(
        default="val", metadata=_help("split to validate on; held out of the other if absent")
    )
    val_fraction: float = field(
        default=0.05, metadata=_help("share held out where there is no validation split")
    )
    val_blocks: int = field(
        default=20, metadata=_help("where a file has no ids: cut it into so many runs of rows")
    )

    depth: int = field(default=50, metadata=_help("layers of the ResNet encoder", choices=DEPTHS))
    pretrained: str = field(
        default="none", metadata=_help("encoder weights: imagenet, none, or a state dict file")
    )
    init: Path | None = field(
        default=None, metadata=_help("run or checkpoint whose weights to start from", unset="none")
    )
    size: int | None = field(
        default=None, metadata=_help("side of the network's input in px", unset="as stored")
    )
    sigma: float = field(
        default=2.0, metadata=_help("standard deviation of the targets in heatmap cells")
    )
    grid: Grid = field(default="center", metadata=_help("where heatmap cells lie", choices=GRIDS))

    epochs: int = field(default=60, metadata=_help("passes through the training images"))
    batch_size: int = field(default=64, metadata=_help("images a step"))
    lr: float = field(default=1e-3, metadata=_help("highest learning rate"))
    weight_decay: float = field(default=1e-4, metadata=_help("decoupled weight decay (AdamW)"))
    schedule: str = field(
        default="cosine", metadata=_help("fall of the learning rate", choices=SCHEDULES)
    )
    warmup: float = field(
        default=0.05, metadata=_help("share of all steps over which the learning rate rises")
    )

    flip: float = field(default=0.5, metadata=_help("share of images that are mirrored"))
    rotation: float = field(default=60.0, metadata=_help("largest rotation in degrees, either way"))
    scale: float = field(default=0.25, metadata=_help("largest change of size, as a share"))
    shift: float = field(default=0.08, metadata=_help("largest shift, as a share of the side"))
    colour: float = field(
        default=0.25, metadata=_help("strength of brightness, contrast and saturation changes")
    )

    device: str = field(default="auto", metadata=_help("where to compute", choices=DEVICES))
    precision: str = field(
        default="auto", metadata=_help("arithmetic of the network", choices=PRECISIONS)
    )
    seed: int = field(default=0, metadata=_help("every random number follows from it"))
    workers: int | None = field(
        default=None, metadata=_help("loading processes", unset="0 on a CPU, else up to 8")
    )

    def check(self) -> None:
        """Refuse values that cannot work.

        Raises
        ------
        TrainError
            One sentence about the first such value.
        """
        if not self.data:
            raise TrainError("training needs at least one HDF5 file: give --data FILE.h5")
        for name, lowest in (("epochs", 1), ("batch_size", 2), ("val_blocks", 2), ("seed", 0)):
            if getattr(self, name) < lowest:
                found = getattr(self, name)
                raise TrainError(f"{option(name)} must be at least {lowest}, found {found}")
        for name in ("lr", "sigma"):
            if not getattr(self, name) > 0:
                raise TrainError(f"{option(name)} must be positive, found {getattr(self, name)}")
        for name in ("val_fraction", "warmup", "flip", "scale", "shift", "colour"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainError(f"{option(name)} is a share 0 to 1, found {getattr(self, name)}")
        if self.val_fraction in (0, 1):
            raise TrainError(
                f"--val-fraction must leave something on both sides, found {self.val_fraction}"
            )
        if self.size is not None:
            check_input_size(self.size)
        for entry in dataclasses.fields(self):
            choices = entry.metadata["choices"]
            value = getattr(self, entry.name)
            if choices and value not in choices:
                raise TrainError(
                    f"{option(entry.name)} is one of {', '.join(map(str, choices))}, "
                    f"found {value!r}"
                )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as ``settings.json`` holds them."""
        values = dataclasses.asdict(self)
        values["data"] = [str(path) for path in self.data]
        values["out"] = str(self.out)
        values["init"] = None if self.init is None else str(self.init)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainSettings:
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        TrainError
            If a setting is missing or unknown.
        """
        known = dict(values)
        try:
            known["data"] = tuple(Path(path) for path in known["data"])
            known["out"] = Path(known["out"])
            known["init"] = None if known["init"] is None else Path(known["init"])
            return cls(**known)
        except (KeyError, TypeError) as error:
            raise TrainError(
                f"these settings of a training run are of another version of handbench ({error}): "
                "start a new run"
            ) from error

    @classmethod
    def read(cls, run: Path) -> TrainSettings:
        """Read ``settings.json`` of a run directory; see :meth:`from_dict` for errors."""
        values = read_json(Path(run) / "settings.json", "the settings of a run", TrainError)
        return cls.from_dict(values)

    def differences(self, other: TrainSettings) -> list[str]:
        """Options in which two runs differ and which a resumed run may not change."""
        mine, theirs = self.to_dict(), other.to_dict()
        return [
            f"{option(name)} {theirs[name]} instead of {mine[name]}"
            for name in mine
            if name not in MAY_CHANGE and mine[name] != theirs[name]
        ]


def option(name: str) -> str:
    """Command-line spelling of a field: ``--batch-size`` for ``batch_size``."""
    return "--" + name.replace("_", "-")
