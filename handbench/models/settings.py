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
from handbench.models.architecture import (
    CHANNEL_ORDERS,
    CODEC_GRIDS,
    DEPTHS,
    ChannelOrder,
    check_input_size,
)
from handbench.models.looks import Looks
from handbench.models.recipes import RECIPES

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
SCHEDULES = ("cosine", "step")
OPTIMISERS = ("adamw", "adam")
SPREADS = ("uniform", "clipped", "truncated")
CACHES = ("auto", "none", "ram")
SELECTIONS = ("epe", "auc")

MAY_CHANGE = (
    "out",
    "device",
    "workers",
    "cache",
    "accumulate",
    "view_test",
    "side_test",
    "patience",
    "save_minutes",
    "sheet",
    "track",
)
"""Settings that a resumed run may change: they do not touch what is computed."""

EARLIER: dict[str, Any] = {
    "recipe": "handbench",
    "codec": "unbiased",
    "channel_order": "rgb",
    "box_factor": 1.0,
    "optimiser": "adamw",
    "adam_epsilon": 1e-12,
    "loss_factor": 1.0,
    "first_drop": 90 / 140,
    "second_drop": 120 / 140,
    "warmup_steps": None,
    "clip_norm": 0.0,
    "select": "epe",
    "flip_test": False,
    "view_test": False,
    "side_test": False,
    "spread": "uniform",
    "rotation_share": 1.0,
    "shift_share": 1.0,
    "accumulate": 1,
    "ema": 0.0,
    "patience": None,
    "save_minutes": 10.0,
    "sheet": 12,
    "track": False,
    "compile": False,
    "sync_batchnorm": False,
    "tint": 0.0,
    "grey": 0.0,
    "erase": 0.0,
    "stretch": 0.0,
    "bend": 0.0,
    "fingers": 0.0,
    "mix": 0.0,
    "early_size": None,
    "early_share": 0.4,
    "cache": "auto",
}
"""What runs did before these settings existed. Every setting that is added gets its line here: its
default may change later, a run that is on disk may not."""


def _help(text: str, choices: tuple[Any, ...] = (), unset: str = "") -> dict[str, Any]:
    """Metadata of a field; `unset` says what happens where it has no value."""
    return {"help": text, "choices": choices, "unset": unset}


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings of one run; the text of every field is its ``help`` metadata.

    `data` and `out` have no default; the other defaults are the recipe ``handbench``. Sizes are in
    pixels, lengths of augmentation in shares of the image, angles in degrees.
    """

    data: tuple[Path, ...] = field(
        metadata=_help(
            "HDF5 file to train on; several may be given", unset="freihand in the home folder"
        )
    )
    out: Path = field(
        metadata=_help("run directory", unset="runs/<data>-resnet<depth> in the home folder")
    )

    recipe: str = field(
        default="handbench",
        metadata=_help(
            "named settings, which other options change one by one (`handbench train recipes`)",
            choices=tuple(RECIPES),
        ),
    )

    split_train: str = field(default="train", metadata=_help("split to train on"))
    split_val: str = field(
        default="val", metadata=_help("split to validate on; held out of the other if absent")
    )
    val_fraction: float = field(
        default=0.05,
        metadata=_help(
            "share held out where there is no validation split; 0 trains on everything and keeps "
            "the last weights"
        ),
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
    early_size: int | None = field(
        default=None,
        metadata=_help(
            "side of the input in the first epochs, which makes them fast", unset="--size"
        ),
    )
    early_share: float = field(
        default=0.4, metadata=_help("share of the epochs that have --early-size")
    )
    sigma: float = field(
        default=2.0, metadata=_help("standard deviation of the targets in heatmap cells")
    )
    codec: str = field(
        default="unbiased",
        metadata=_help("targets, loss and decoding of heatmaps", choices=tuple(CODEC_GRIDS)),
    )
    grid: Grid | None = field(
        default=None,
        metadata=_help("where heatmap cells lie", choices=GRIDS, unset="as the codec has it"),
    )
    channel_order: ChannelOrder = field(
        default="rgb",
        metadata=_help("order of the channels in the network", choices=CHANNEL_ORDERS),
    )
    box_factor: float = field(
        default=1.0,
        metadata=_help("side of what the network sees, as a share of the stored image's"),
    )

    epochs: int = field(default=60, metadata=_help("passes through the training images"))
    batch_size: int = field(
        default=64, metadata=_help("images a step, over all processes and accumulated parts")
    )
    accumulate: int = field(
        default=1,
        metadata=_help("parts in which a process computes its images of a step, to save memory"),
    )
    lr: float = field(default=1e-3, metadata=_help("highest learning rate"))
    optimiser: str = field(
        default="adamw",
        metadata=_help("how weights follow from gradients", choices=OPTIMISERS),
    )
    weight_decay: float = field(
        default=1e-4, metadata=_help("weight decay: decoupled with adamw, in the loss with adam")
    )
    adam_epsilon: float = field(
        default=1e-12,
        metadata=_help(
            "added to Adam's denominator; the mean over all cells makes gradients of 1e-7 and "
            "less, which the usual 1e-8 would damp"
        ),
    )
    clip_norm: float = field(
        default=0.0, metadata=_help("largest norm of the gradient, 0 for no limit")
    )
    loss_factor: float = field(default=1.0, metadata=_help("the codec's loss is multiplied by it"))
    schedule: str = field(
        default="cosine", metadata=_help("fall of the learning rate", choices=SCHEDULES)
    )
    warmup: float = field(
        default=0.05, metadata=_help("share of all steps over which the learning rate rises")
    )
    warmup_steps: int | None = field(
        default=None,
        metadata=_help("number of such steps instead of a share", unset="from --warmup"),
    )
    first_drop: float = field(
        default=0.643,
        metadata=_help("schedule step: share of the epochs after which the rate falls to a tenth"),
    )
    second_drop: float = field(
        default=0.857,
        metadata=_help("schedule step: share of the epochs after which it falls again"),
    )
    select: str = field(
        default="epe",
        metadata=_help("validation score that chooses the best epoch", choices=SELECTIONS),
    )
    flip_test: bool = field(
        default=False,
        metadata=_help("average with the mirror image, in validation and where the model is used"),
    )
    view_test: bool = field(
        default=False,
        metadata=_help("take the median over nine views on the result card and in `predict`"),
    )
    side_test: bool = field(
        default=False,
        metadata=_help(
            "look at the mirror image too, and keep the surer answer, on the result card and in "
            "`predict`; for hands of one side (--flip 0)"
        ),
    )
    ema: float = field(
        default=0.998,
        metadata=_help(
            "decay of the moving average of the weights, which is validated and saved as best; "
            "0 for none"
        ),
    )
    patience: int | None = field(
        default=None,
        metadata=_help("end after so many epochs without a better score", unset="never"),
    )

    flip: float = field(default=0.5, metadata=_help("share of images that are mirrored"))
    rotation: float = field(default=60.0, metadata=_help("largest rotation in degrees, either way"))
    scale: float = field(default=0.25, metadata=_help("largest change of size, as a share"))
    shift: float = field(default=0.08, metadata=_help("largest shift, as a share of the side"))
    colour: float = field(
        default=0.25, metadata=_help("strength of brightness, contrast and saturation changes")
    )
    spread: str = field(
        default="uniform",
        metadata=_help(
            "how angle, size and shift are drawn: evenly, from a clipped normal distribution as in "
            "Simple Baselines, or from a truncated one as in MMPose",
            choices=SPREADS,
        ),
    )
    rotation_share: float = field(
        default=1.0, metadata=_help("share of images that are turned at all")
    )
    shift_share: float = field(
        default=1.0, metadata=_help("share of images that are shifted at all")
    )

    tint: float = field(
        default=0.0, metadata=_help("strength of changes of each channel's brightness")
    )
    grey: float = field(default=0.0, metadata=_help("share of images that lose their colours"))
    erase: float = field(
        default=0.0, metadata=_help("share of images in which a rectangle is painted over")
    )

    stretch: float = field(
        default=0.0, metadata=_help("largest change of the sides' ratio, along any direction")
    )
    bend: float = field(
        default=0.0, metadata=_help("strength of smooth bends, as a share of a quarter of the side")
    )
    fingers: float = field(
        default=0.0,
        metadata=_help("largest turn of single fingers in degrees; their lengths change too"),
    )
    mix: float = field(
        default=0.0,
        metadata=_help("share of images that get one to three fingers of another of their batch"),
    )

    device: str = field(default="auto", metadata=_help("where to compute", choices=DEVICES))
    precision: str = field(
        default="auto", metadata=_help("arithmetic of the network", choices=PRECISIONS)
    )
    seed: int = field(default=0, metadata=_help("every random number follows from it"))
    workers: int | None = field(
        default=None, metadata=_help("loading processes", unset="0 on a CPU, else up to 8")
    )
    cache: str = field(
        default="auto",
        metadata=_help(
            "images in memory: none, all of them (ram), or few enough ones that no other process "
            "loads (auto)",
            choices=CACHES,
        ),
    )
    compile: bool = field(
        default=False, metadata=_help("compile the network with torch.compile, which takes minutes")
    )
    sync_batchnorm: bool = field(
        default=False,
        metadata=_help("normalise over the images of all processes, which need a GPU each"),
    )
    save_minutes: float = field(
        default=10.0, metadata=_help("time between checkpoints within an epoch")
    )
    sheet: int = field(
        default=12,
        metadata=_help("validation images on the sheets of predictions in val/, 0 for no sheets"),
    )
    track: bool = field(
        default=False, metadata=_help("also log for TensorBoard, in the folder tensorboard/")
    )

    @property
    def looks(self) -> Looks:
        """What the trained model looks at beside an image as it is; see there for errors."""
        return Looks(flip=self.flip_test, views=self.view_test, sides=self.side_test)

    def check(self) -> None:
        """Refuse values that cannot work.

        Raises
        ------
        TrainError
            One sentence about the first such value.
        """
        if not self.data:
            raise TrainError("training needs at least one HDF5 file: give --data FILE.h5")
        for name, lowest in (
            ("epochs", 1), ("batch_size", 2), ("accumulate", 1), ("val_blocks", 2), ("seed", 0),
            ("sheet", 0), ("save_minutes", 0),
        ):  # fmt: skip
            if getattr(self, name) < lowest:
                found = getattr(self, name)
                raise TrainError(f"{option(name)} must be at least {lowest}, found {found}")
        for name in ("lr", "sigma", "box_factor", "adam_epsilon", "loss_factor"):
            if not getattr(self, name) > 0:
                raise TrainError(f"{option(name)} must be positive, found {getattr(self, name)}")
        for name in (
            "val_fraction", "warmup", "first_drop", "second_drop", "flip", "scale", "shift",
            "colour", "rotation_share", "shift_share", "tint", "grey", "erase", "stretch", "bend",
            "mix", "early_share",
        ):  # fmt: skip
            if not 0 <= getattr(self, name) <= 1:
                raise TrainError(f"{option(name)} is a share 0 to 1, found {getattr(self, name)}")
        if self.val_fraction == 1:
            raise TrainError("--val-fraction must leave something to train on, found 1")
        for side in (self.size, self.early_size):
            if side is not None:
                check_input_size(side)
        if not 0 <= self.fingers < 90:
            raise TrainError(f"--fingers is an angle from 0 to below 90, found {self.fingers}")
        for entry in dataclasses.fields(self):
            choices = entry.metadata["choices"]
            value = getattr(self, entry.name)
            unset = value is None and entry.default is None
            if choices and value not in choices and not unset:
                raise TrainError(
                    f"{option(entry.name)} is one of {', '.join(map(str, choices))}, "
                    f"found {value!r}"
                )
        _ = self.looks  # refuses what does not go together
        if not 0 <= self.ema < 1:
            raise TrainError(f"--ema is at least 0 and below 1, found {self.ema}")
        if self.patience is not None and self.patience < 1:
            raise TrainError(f"--patience must be at least 1, found {self.patience}")
        if self.clip_norm < 0:
            raise TrainError(f"--clip-norm must not be negative, found {self.clip_norm}")
        if self.warmup_steps is not None and self.warmup_steps < 0:
            raise TrainError(f"--warmup-steps must not be negative, found {self.warmup_steps}")
        if self.grid is not None and self.grid not in CODEC_GRIDS[self.codec]:
            raise TrainError(
                f"the codec {self.codec} has a grid of its own, found --grid {self.grid}: leave "
                "--grid away"
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
        known = {**EARLIER, **values}
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
