"""What a leaderboard holds, as data: `collect` fills it, the site shows it.

Nothing here is computed and nothing is drawn. Every choice that a reader may question (who is
ranked, who is not and why, which number is whose) is a field with a sentence beside it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from handbench.scores.results import Evaluation, MetricValue, Results


class Evidence(enum.Enum):
    """How a number came here, from what can be trusted most to what can be trusted least."""

    RESCORED = "re-scored here"
    REPRODUCED = "reproduced with command"
    SELF_REPORTED = "self-reported"


class PublishedEvidence(enum.Enum):
    """Evidence levels of published rows, as in the file of published results."""

    PRIMARY = "primary"
    QUOTED = "quoted"
    SECONDARY = "secondary"


class Overlap(enum.Enum):
    """What the training data of a model share with the images it is tested on."""

    NONE = "none known"
    POSSIBLE = "may overlap"  # a dataset that the manifest names in known_overlap
    SAME = "trained on the test images"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Contamination:
    """A mark and the sentence that explains it.

    Attributes
    ----------
    overlap
        The mark.
    sentence
        What overlaps with what, for the reader.
    """

    overlap: Overlap
    sentence: str


@dataclass(frozen=True)
class Entry:
    """One results file.

    Attributes
    ----------
    results
        As read; where they were scored again here, the numbers of this scoring.
    file
        Path as given on the command line and below, with forward slashes.
    slug
        Name of the entry in addresses: unique, plain ASCII.
    evidence, evidence_sentence
        The badge, and what it rests on.
    command
        The command that reproduces it; "" where none is known.
    training_data
        Names as declared (``"freihand/train"``); None means unknown.
    contamination
        See :class:`Contamination`.
    problems
        Sentences of the checks of a results file, and of conflicts with another file. An entry
        with problems is shown and never ranked.
    evaluation
        Per-sample errors and all, where these were at hand (``.errors.npz``, deposited
        predictions); for galleries and paired tests.
    superseded_by
        Slug of a newer entry of the same model in the same table; "" for the newest. Superseded
        entries make the history.
    """

    results: Results
    file: str
    slug: str
    evidence: Evidence
    evidence_sentence: str
    command: str
    training_data: tuple[str, ...] | None
    contamination: Contamination
    problems: tuple[str, ...] = ()
    evaluation: Evaluation | None = None
    superseded_by: str = ""

    @property
    def name(self) -> str:
        """Name of the model as declared."""
        return str(self.results.model["name"])


@dataclass(frozen=True)
class PublishedRow:
    """A published number, as printed, and what it is in our words.

    Attributes
    ----------
    dataset, split, protocol
        Names in the file of published results.
    model, backbone, input_size
        As printed; "" where the source does not say.
    printed
        Metric as the file names it → value as printed there.
    values
        Full name of our metric → value in our unit; only for metrics that map.
    source, year, evidence, note
        Where it was read.
    """

    dataset: str
    split: str
    protocol: str
    model: str
    backbone: str
    input_size: str
    printed: dict[str, float]
    values: dict[str, float]
    source: str
    year: int | None
    evidence: PublishedEvidence
    note: str


@dataclass(frozen=True)
class Column:
    """A metric of a table.

    Attributes
    ----------
    name, unit, definition, smaller_is_better
        As in :class:`handbench.reports.ranking.MetricLine`.
    leading
        Belongs to the few that are shown first.
    floor
        What the mean pose gets, a floor to beat; None where the protocol does not report it.
    """

    name: str
    unit: str
    definition: str
    smaller_is_better: bool
    leading: bool
    floor: MetricValue | None = None


@dataclass(frozen=True)
class Row:
    """An entry in a table.

    Attributes
    ----------
    entry
        Whose numbers.
    values
        One a column; None where the results lack it.
    rank
        1 is best; None where it is not ranked.
    unranked
        Why there is no rank ("" where there is one).
    best
        Positions of the columns in which it is the best of the ranked rows.
    distinguishable
        From the best, by a paired test at 5 % (Holm); None where no test was possible.
    coverage
        Fraction of expected hands that were predicted; None when none were expected.
    """

    entry: Entry
    values: tuple[MetricValue | None, ...]
    rank: int | None
    unranked: str = ""
    best: frozenset[int] = frozenset()
    distinguishable: bool | None = None
    coverage: float | None = None


@dataclass(frozen=True)
class Table:
    """Entries that may be compared: one dataset, split, protocol and signature.

    Attributes
    ----------
    signature
        What all rows share.
    apart
        Part of the signature → its value here, where the group has several tables.
    columns, rows
        Metrics; entries, ranked ones first by rank, the others after them by the primary metric.
    primary
        Name of the metric that orders; "" when none does.
    remark
        Why nothing is ranked, or "".
    """

    signature: str
    apart: dict[str, str]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    primary: str
    remark: str = ""


@dataclass(frozen=True)
class Group:
    """One dataset and split under one protocol (with its version): a page.

    Attributes
    ----------
    dataset, split, protocol
        Our names; protocol with its version, such as ``mmpose/1``, as in signatures. For a group
        that has published rows alone and does not map to ours: the names of the file of published
        results.
    slug
        Name of the page: unique, plain ASCII.
    title, protocol_summary
        Of the dataset and the protocol, for people; "" where unknown.
    tables
        One a signature, the one with most rows first, but before it those of the whole published
        split where there are published rows; empty for published rows alone.
    published
        Reference rows of the same dataset, split and protocol, which stand in the first table.
        Never ranked.
    reference_only
        Why the published rows have no table of ours beside them ("" where they may have one): they
        map to nothing that handbench scores.
    published_remark
        What a reader of the published rows should know beside that, or "".
    """

    dataset: str
    split: str
    protocol: str
    slug: str
    title: str
    protocol_summary: str
    tables: tuple[Table, ...]
    published: tuple[PublishedRow, ...] = ()
    reference_only: str = ""
    published_remark: str = ""


@dataclass(frozen=True)
class Model:
    """A model over all groups: a page.

    Attributes
    ----------
    name, slug
        As declared; name of the page.
    facts
        The header of its newest results (params, training_data, url, note, input, gt_used).
    places
        (group slug, row) wherever it stands now.
    history
        Group slug → its entries there, newest first, when there are several.
    """

    name: str
    slug: str
    facts: dict[str, object]
    places: tuple[tuple[str, Row], ...]
    history: dict[str, tuple[Entry, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """The best entry of a pair trained on × tested on.

    Attributes
    ----------
    value, unit
        The number.
    model, slug
        Whose it is, and its page; "" for published numbers.
    within
        Trained and tested on the same dataset.
    mark
        Sentence on overlap of training and test data; "" where none is known.
    """

    value: float
    unit: str
    model: str
    slug: str
    within: bool
    mark: str = ""


@dataclass(frozen=True)
class Matrix:
    """Trained on × tested on, one metric.

    Attributes
    ----------
    title, metric, definition, smaller_is_better
        What the numbers are: box-normalised in 2D, root- or PA-aligned mm in 3D, never px.
    trained_on, tested_on
        Rows and columns; a model trained on several datasets has a row of its own, joined by " + ".
    cells
        (trained, tested) → the best entry.
    remarks
        Sentences: differing joint definitions of the datasets, what is left out.
    published
        Made of published numbers alone.
    """

    title: str
    metric: str
    definition: str
    smaller_is_better: bool
    trained_on: tuple[str, ...]
    tested_on: tuple[str, ...]
    cells: dict[tuple[str, str], Cell]
    remarks: tuple[str, ...] = ()
    published: bool = False


@dataclass(frozen=True)
class Board:
    """A whole leaderboard.

    Attributes
    ----------
    groups
        Those with results first, then published rows alone.
    models
        By name.
    matrices
        Of the results, then published ones.
    unreadable
        File → why it is not here (other format, broken); shown on the site.
    notes
        Sentences on the whole.
    """

    groups: tuple[Group, ...]
    models: tuple[Model, ...]
    matrices: tuple[Matrix, ...]
    unreadable: dict[str, str]
    notes: tuple[str, ...] = ()
