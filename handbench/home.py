"""The home folder: where raw data, datasets, runs and results live when nothing else is said."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

BEST = "best.pt"
"""The weights in the folder of a run: one that has them can be run."""


@dataclass(frozen=True)
class Home:
    """Paths below one root; nothing is created before something is written.

    Attributes
    ----------
    root
        `--home`, else ``$HANDBENCH_HOME``, else the platform's user data directory.
    """

    root: Path

    @classmethod
    def find(cls, override: Path | None = None) -> Home:
        """Choose the root: `override`, ``$HANDBENCH_HOME``, or the platform's data directory."""
        if override is not None:
            return cls(Path(override).expanduser())
        if os.environ.get("HANDBENCH_HOME"):
            return cls(Path(os.environ["HANDBENCH_HOME"]).expanduser())
        import platformdirs

        return cls(Path(platformdirs.user_data_dir("handbench", appauthor=False)))

    def raw(self, dataset: str) -> Path:
        """Folder of a dataset as downloaded; the default source of ``convert``."""
        return self.root / "raw" / dataset

    def dataset(self, dataset: str) -> Path:
        """Converted HDF5 file of a dataset; the default target of ``convert``."""
        return self.root / "datasets" / f"{dataset}.h5"

    @property
    def runs(self) -> Path:
        """Folder of training runs."""
        return self.root / "runs"

    def trained(self) -> list[Path]:
        """Folders of the training runs that have weights."""
        return [best.parent for best in self.runs.glob(f"*/{BEST}")]

    def model(self, name: str) -> str:
        """A run that is not below the current folder, looked up here; any other word as it is."""
        for folder in (self.root, self.runs):
            if not Path(name).exists() and (folder / name).exists():
                return str(folder / name)
        return name

    @property
    def results(self) -> Path:
        """Folder of results JSON."""
        return self.root / "results"
