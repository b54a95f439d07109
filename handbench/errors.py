"""What can go wrong, drawn once.

    HandbenchError              one sentence: expected, found, where, what to do next
    ├── SourceError             a raw dataset on disk is not what its manifest says
    ├── ManifestError           a file in ``manifests/`` breaks the schema
    ├── FormatError             an HDF5 file is not handbench format 1.x, or is incomplete
    ├── PredictionsError        a predictions file cannot be read or matched
    ├── ScoreError              a metric or protocol cannot be computed as asked
    ├── TrainError              a run cannot start, continue or be loaded
    │   └── TrainingStoppedError    a run was asked to end, and saved itself
    ├── PredictorError          a model cannot be opened, or does not do what it should
    ├── LiveError               a camera, video, recording or window cannot be used as asked
    └── MissingExtraError       an optional dependency is not installed (also an ImportError)

Every class but the last is also a :class:`ValueError`, so ordinary ``except`` clauses work.
The command line prints the sentence and exits with 1; ``--debug`` shows the traceback.
"""

from __future__ import annotations


class HandbenchError(Exception):
    """Base of all errors that a user can act on."""


class SourceError(HandbenchError, ValueError):
    """A raw dataset on disk is missing, damaged or of another kind."""


class ManifestError(HandbenchError, ValueError):
    """A dataset manifest breaks the schema; the message names file and field."""


class FormatError(HandbenchError, ValueError):
    """A file is not a complete handbench HDF5 file of a version we read."""


class PredictionsError(HandbenchError, ValueError):
    """A predictions file cannot be read, or does not fit the data."""


class ScoreError(HandbenchError, ValueError):
    """A metric or protocol cannot be computed as asked."""


class TrainError(HandbenchError, ValueError):
    """A training run cannot start, continue or be loaded."""


class LiveError(HandbenchError, ValueError):
    """A camera, video, recording or window cannot be used as asked."""


class PredictorError(HandbenchError, ValueError):
    """A model cannot be opened, or its answer is not what a predictor gives."""


class TrainingStoppedError(TrainError):
    """A signal asked a training run to end; everything was saved before.

    Attributes
    ----------
    signal
        Its number.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


class MissingExtraError(HandbenchError, ImportError):
    """An optional dependency is missing; the message has the install command."""

    def __init__(self, package: str, extra: str, what: str) -> None:
        super().__init__(
            f"{what} needs the package {package!r}, which is not installed: "
            f"run  pip install 'handbench[{extra}]'"
        )
