"""handbench: prepare hand-pose datasets and compare hand-pose models.

Importing this package is cheap: it loads neither torch nor pandas nor matplotlib. The public names
below are loaded when first used.

>>> import handbench
>>> file = handbench.open("freihand.h5")           # doctest: +SKIP
>>> file["test"][0].keypoints_2d                   # doctest: +SKIP
>>> handbench.HandDataset("freihand.h5", "train")  # doctest: +SKIP
>>> handbench.evaluate("preds.json", "freihand.h5")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from handbench import metrics
    from handbench.hdf5.reader import HandFile as open  # noqa: A004, N813 - handbench.open(path)
    from handbench.hdf5.torch_dataset import HandDataset
    from handbench.scores.frames import results_frame
    from handbench.scores.scoring import evaluate

__all__ = ["HandDataset", "__version__", "evaluate", "metrics", "open", "results_frame"]

_PUBLIC = {
    "HandDataset": ("handbench.hdf5.torch_dataset", "HandDataset"),
    "evaluate": ("handbench.scores.scoring", "evaluate"),
    "metrics": ("handbench.metrics", None),
    "open": ("handbench.hdf5.reader", "HandFile"),
    "results_frame": ("handbench.scores.frames", "results_frame"),
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'handbench' has no attribute {name!r}")
    module_name, attribute = _PUBLIC[name]
    module = importlib.import_module(module_name)
    return module if attribute is None else getattr(module, attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
