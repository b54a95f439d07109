"""``handbench evaluate``: predictions against truth, as a table, results JSON and a report."""

from __future__ import annotations

import itertools
import re
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handbench.home import Home

if TYPE_CHECKING:
    from handbench.hdf5.reader import HandFile
    from handbench.predictions.record import Predictions
    from handbench.scores.compare import Ranking
    from handbench.scores.protocol import Protocol
    from handbench.scores.results import Evaluation
    from handbench.scores.subsets import Breakdown


@click.command()
@click.argument("preds", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="HDF5 file that was predicted on.  [default: the dataset named in the predictions, in "
    "the home folder]",
)
@click.option(
    "--protocol",
    "protocol_names",
    multiple=True,
    help="Protocol to score under; repeat for several.  [default: handbench and mmpose, or none "
    "when --metric is given]",
)
@click.option(
    "--metric",
    "metric_names",
    multiple=True,
    help="Further metric by name, such as 'PCK@0.2[bbox]' or 'AUC@0-30px[n=20]'; repeatable. The "
    "first one ranks.",
)
@click.option(
    "--ids",
    "ids_file",
    type=click.Path(path_type=Path),
    help="Score only the sample ids in this text file, one a line.",
)
@click.option(
    "--by",
    multiple=True,
    metavar="NAME",
    help="Also score groups: joint, finger, joint_type, visibility, side, size, rotation, view, "
    "truncation, occlusion, or any column with one value a hand; repeatable, or joined by commas.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write <model>.json, <model>.errors.npz and report.html into this folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def evaluate(
    home: Home,
    preds: tuple[Path, ...],
    data: Path | None,
    protocol_names: tuple[str, ...],
    metric_names: tuple[str, ...],
    ids_file: Path | None,
    by: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Score one or several prediction files PREDS against the truth.

    The first line of each model says what was expected and what was found. Several models are
    ranked where their numbers may be compared, and shown apart where not.
    """
    from handbench.files import to_json
    from handbench.hdf5.reader import HandFile
    from handbench.predictions.read import read_predictions
    from handbench.scores.protocols import custom_protocol, find_protocol
    from handbench.scores.scoring import evaluate as score
    from handbench.scores.subsets import breakdown

    names = protocol_names or (() if metric_names else ("handbench", "mmpose"))
    protocols = [find_protocol(name) for name in dict.fromkeys(names)]
    if metric_names:
        protocols.append(custom_protocol(metric_names))
    ids = None if ids_file is None else _read_ids(ids_file)
    given = None if data is None else HandFile(data)
    read = [read_predictions(path, given) for path in preds]
    file = _only_dataset(home, read) if given is None else given
    with file:
        evaluations = [
            score(
                predictions,
                file,
                [protocol.name for protocol in protocols if protocol.name != "custom"],
                metrics=metric_names,
                ids=ids,
                ids_from=str(ids_file),
            )
            for predictions in read
        ]
        labels = _labels(read)
        groupings = [name.strip() for names in by for name in names.split(",")]
        breakdowns = (
            {
                label: breakdown(evaluation, file, groupings, protocols)
                for label, evaluation in zip(labels, evaluations)
            }
            if groupings
            else {}
        )
        if out is not None:
            _write(out, labels, evaluations, file)
    rankings = _rankings(evaluations, labels, protocols)
    for label, evaluation in zip(labels, evaluations):
        for warning in evaluation.warnings:
            click.echo(f"Warning: {label}: {warning}", err=True)
    if as_json:
        document = _document(labels, evaluations, rankings, breakdowns)
        click.echo(to_json(document).decode())
        return
    _print(labels, evaluations, protocols, rankings, breakdowns)
    if out is not None:
        click.echo(f"\nwrote {out / 'report.html'} and results of {len(labels)} model(s) to {out}")


def _read_ids(path: Path) -> list[str]:
    from handbench.errors import ScoreError

    try:
        # Editors on Windows put a byte order mark before the first id.
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ScoreError(
            f"expected a text file of sample ids at {path}, one a line, found none that can be "
            f"read ({error})"
        ) from error
    return [line.strip() for line in lines if line.strip()]


def _only_dataset(home: Home, read: Sequence[Predictions]) -> HandFile:
    """The converted file of the one dataset that all predictions name."""
    from handbench.errors import PredictionsError
    from handbench.hdf5.reader import HandFile

    names = sorted({predictions.dataset for predictions in read})
    if len(names) > 1:
        raise PredictionsError(
            f"expected predictions for one dataset, found {', '.join(names)}: evaluate them one "
            "dataset at a time"
        )
    name = names[0]
    # The rule of convert: any other name would climb out of the folder of datasets.
    if name.startswith(".") or any(mark in name for mark in "/\\"):
        raise PredictionsError(
            f"{read[0].origin}: expected a dataset name that can be a file name, found {name!r}: "
            "name the file that was predicted on with --data"
        )
    path = home.dataset(name)
    if not path.is_file():
        raise PredictionsError(
            f"{read[0].origin}: predictions for dataset {name!r}, but there is no {path}: "
            "convert the dataset, or name its file with --data"
        )
    return HandFile(path)


def _labels(read: Sequence[Predictions]) -> list[str]:
    """Names of the models; those called the same get the name of their file, then a number."""
    names = [predictions.name for predictions in read]
    labels: list[str] = []
    for predictions in read:
        label = predictions.name
        if names.count(label) > 1:
            label = f"{label} ({Path(predictions.origin).name})"
        number = 2
        unique = label
        while unique in labels:
            unique, number = f"{label} #{number}", number + 1
        labels.append(unique)
    return labels


def _rankings(
    evaluations: Sequence[Evaluation], labels: Sequence[str], protocols: Sequence[Protocol]
) -> list[Ranking]:
    """Rankings under every protocol; none for a single model."""
    from handbench.scores.compare import rank

    if len(evaluations) < 2:
        return []
    return [ranking for protocol in protocols for ranking in rank(evaluations, labels, protocol)]


def _print(
    labels: Sequence[str],
    evaluations: Sequence[Evaluation],
    protocols: Sequence[Protocol],
    rankings: Sequence[Ranking],
    breakdowns: dict[str, list[Breakdown]],
) -> None:
    from handbench.scores.text import report_text, subsets_text

    # Wrapped for a reader at a terminal; one line a metric for a program behind a pipe.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    blocks = [report_text(labels, evaluations, protocols, rankings, width)]
    blocks += [
        subsets_text(label, breakdown)
        for label, of_model in breakdowns.items()
        for breakdown in of_model
    ]
    click.echo("\n\n".join(blocks))


def _document(
    labels: Sequence[str],
    evaluations: Sequence[Evaluation],
    rankings: Sequence[Ranking],
    breakdowns: dict[str, list[Breakdown]],
) -> dict[str, Any]:
    from dataclasses import asdict

    models = [
        {
            "label": label,
            "results": [results.to_dict() for results in evaluation.results],
            "missing": evaluation.missing,
            "extra": evaluation.extra,
            "duplicate": evaluation.duplicate,
            "warnings": evaluation.warnings,
        }
        for label, evaluation in zip(labels, evaluations)
    ]
    document: dict[str, Any] = {"models": models}
    if rankings:
        document["rankings"] = [asdict(ranking) for ranking in rankings]
    if breakdowns:
        # One list a model, whatever the number of breakdowns: each row says what it is `by`.
        document["groups"] = {
            label: [asdict(subset) for breakdown in of_model for subset in breakdown.subsets]
            for label, of_model in breakdowns.items()
        }
    return document


def _write(
    out: Path, labels: Sequence[str], evaluations: Sequence[Evaluation], file: HandFile
) -> None:
    """Write the report first and the results last: results JSON means that all is there."""
    from handbench.reports.html import write_report

    write_report(list(evaluations), file, out / "report.html", labels=list(labels))
    for names, evaluation in zip(_file_names(labels, evaluations), evaluations):
        evaluation.errors.write(out / names[0])
        for name, results in zip(names[1:], evaluation.results):
            results.write(out / name)


def _file_names(labels: Sequence[str], evaluations: Sequence[Evaluation]) -> list[list[str]]:
    """Names of the files of each model, no two the same: errors, then one a protocol.

    Names that differ in case only, or only in characters that no file name may have, are the
    same; and the model ``a.mmpose`` wants the name that the model ``a`` has under mmpose.
    """
    taken = {"report.html"}
    chosen: list[list[str]] = []
    for label, evaluation in zip(labels, evaluations):
        base = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", label)).strip("-.") or "model"
        further = [f".{results.protocol}.json" for results in evaluation.results[1:]]
        for number in itertools.count(1):
            stem = base if number == 1 else f"{base}-{number}"
            names = [f"{stem}{ending}" for ending in (".errors.npz", ".json", *further)]
            if taken.isdisjoint(name.casefold() for name in names):
                break
        taken.update(name.casefold() for name in names)
        chosen.append(names)
    return chosen
