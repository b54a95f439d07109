"""``handbench evaluate``: predictions against truth, as a table, results JSON and a report."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handbench.cli.paper_options import FREIHAND, JSON, TABLE, Layout, table_options
from handbench.home import Home

if TYPE_CHECKING:
    from handbench.hdf5.reader import HandFile
    from handbench.predictions.record import Predictions
    from handbench.scores.compare import Ranking
    from handbench.scores.protocol import Protocol
    from handbench.scores.results import Evaluation
    from handbench.scores.sample_errors import SampleErrors
    from handbench.scores.subsets import Breakdown


# Files are looked at where they are read: what is wrong with one is then one sentence and exit 1.
_FILE = click.Path(readable=False, path_type=Path)


@click.command()
@click.argument("preds", nargs=-1, required=True, type=_FILE)
@click.option(
    "--data",
    type=_FILE,
    help="HDF5 file that was predicted on.  [default: the dataset named in the predictions, in "
    "the home folder]",
)
@click.option(
    "--protocol",
    "protocol_names",
    multiple=True,
    help="Protocol to score under; repeatable, or joined by commas.  [default: handbench and "
    "mmpose; none when --metric is given; freihand with --format freihand]",
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
    type=_FILE,
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
    "--diagnose",
    is_flag=True,
    help="Also sort every keypoint into a kind of error (swap, inversion, miss, …) and say what "
    "each kind costs.",
)
@click.option(
    "--assume",
    "assumptions",
    multiple=True,
    metavar="KEY=VALUE",
    help="What a predictions file leaves unsaid: axes=opengl, unit=mm, keypoint_order=mano, "
    "frame_3d=root:wrist, split=test, name=my-net …; repeatable.",
)
@click.option(
    "--out",
    type=_FILE,
    metavar="DIRECTORY",
    help="Write <model>.json, <model>.errors.npz and report.html into this folder.",
)
@click.option(
    "--publish-images/--no-images",
    "images",
    default=None,
    help="Show photos in report.html, or skeletons on grey.  [default: photos where the dataset "
    "allows them to be published]",
)
@click.option(
    "--figures",
    type=_FILE,
    metavar="DIRECTORY",
    help="Write curves and joints as SVG, PDF and PNG into this folder.",
)
@table_options
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
@click.pass_obj
def evaluate(
    home: Home,
    /,
    preds: tuple[Path, ...],
    data: Path | None,
    protocol_names: tuple[str, ...],
    metric_names: tuple[str, ...],
    ids_file: Path | None,
    by: tuple[str, ...],
    diagnose: bool,
    assumptions: tuple[str, ...],
    out: Path | None,
    images: bool | None,
    figures: Path | None,
    as_json: bool,
    **table: Any,
) -> None:
    """Score one or several prediction files PREDS against the truth.

    The first line of each model says what was expected and what was found. Several models are
    ranked where their numbers may be compared, and shown apart where not.

    PREDS may also be the <model>.errors.npz of an earlier run with --out: other metrics and
    subsets are then computed from the stored errors, without predictions and mostly without data.

    The table says everything; --columns and the other formats make the short one of a paper.
    """
    from handbench.cli.evaluation_files import (
        check_out,
        read_ids,
        unique_labels,
        write_evaluations,
        write_figures,
        write_report,
    )
    from handbench.files import to_json
    from handbench.hdf5.reader import HandFile
    from handbench.predictions.record import Predictions
    from handbench.scores.protocols import custom_protocol, find_protocol
    from handbench.scores.scoring import evaluate as score
    from handbench.scores.scoring import rescore
    from handbench.scores.subsets import breakdown

    layout = Layout.given(as_json, **table)
    usual = ("freihand",) if layout.layout == FREIHAND else ("handbench", "mmpose")
    names = protocol_names or (() if metric_names else usual)
    names = tuple(name.strip() for listed in names for name in listed.split(","))
    protocols = [find_protocol(name) for name in dict.fromkeys(names)]
    asked = [protocol.name for protocol in protocols]
    if metric_names:
        protocols.append(custom_protocol(metric_names))
    for folder in (out, figures):
        if folder is not None:
            check_out(folder)
    ids = None if ids_file is None else read_ids(ids_file)
    given = None if data is None else HandFile(data)
    read = _read(preds, given, protocols, assumptions)
    groupings = [name.strip() for names in by for name in names.split(",")]
    needs_data = groupings or out is not None or any(isinstance(r, Predictions) for r in read)
    file = given if given is not None or not needs_data else _only_dataset(home, preds, read)
    labels = unique_labels([(_name(one), path) for one, path in zip(read, preds)])
    scored: dict[str, Any] = {"metrics": metric_names, "ids": ids, "ids_from": str(ids_file)}
    # A report shows the diagnosis wherever there is one to make; it is printed when asked for.
    found = diagnose or (None if out is not None else False)
    evaluations = [
        score(one, _known(file), asked, **scored, diagnosis=found)
        if isinstance(one, Predictions)
        else rescore(_without_diagnosis(one, path, diagnose), asked, **scored)
        for one, path in zip(read, preds)
    ]
    breakdowns: dict[str, list[Breakdown]] = {}
    if groupings:
        breakdowns = {
            label: breakdown(evaluation, _known(file), groupings, protocols)
            for label, evaluation in zip(labels, evaluations)
        }
    if out is not None:
        write_report(out, labels, evaluations, _known(file), images=images, by=groupings)
    if not diagnose:
        evaluations = [replace(evaluation, diagnosis=None) for evaluation in evaluations]
    if out is not None:
        write_evaluations(out, labels, evaluations)
    rankings = _rankings(evaluations, labels, protocols)
    for label, evaluation in zip(labels, evaluations):
        for warning in evaluation.warnings:
            click.echo(f"Warning: {label}: {warning}", err=True)
    if figures is not None:
        for note in write_figures(figures, labels, evaluations, breakdowns):
            click.echo(f"Note: {note}", err=True)
    if layout.layout == JSON:
        document = _document(labels, evaluations, rankings, breakdowns)
        click.echo(to_json(document).decode())
        return
    if layout.whole:
        _print(labels, evaluations, protocols, rankings, breakdowns)
    else:
        _print_short(layout, labels, evaluations, rankings)
    # What is printed in another layout goes into a file as it is.
    apart = layout.layout != TABLE
    if out is not None:
        models = "one model" if len(labels) == 1 else f"{len(labels)} models"
        click.echo(f"\nwrote {out / 'report.html'} and the results of {models} to {out}", err=apart)
    if figures is not None:
        click.echo(f"wrote figures to {figures}", err=apart)


def _read(
    preds: Sequence[Path],
    data: HandFile | None,
    protocols: Sequence[Protocol],
    assumptions: Sequence[str],
) -> list[Predictions | SampleErrors]:
    from handbench.predictions.assume import parse_assumptions
    from handbench.predictions.read import read_predictions
    from handbench.scores.protocols import list_convention
    from handbench.scores.sample_errors import SampleErrors, is_errors_file

    assume = parse_assumptions(assumptions)
    convention = list_convention(protocols, assume)
    return [
        SampleErrors.read(path)
        if is_errors_file(path)
        else read_predictions(path, data, assume=assume, assume_without_header=convention)
        for path in preds
    ]


def _name(one: Predictions | SampleErrors) -> str:
    from handbench.predictions.record import Predictions

    return one.name if isinstance(one, Predictions) else str(one.about["model"]["name"])


def _known(file: HandFile | None) -> HandFile:
    """The data file, which is there wherever it is needed."""
    assert file is not None  # noqa: S101
    return file


def _without_diagnosis(errors: SampleErrors, path: Path, diagnose: bool) -> SampleErrors:
    from handbench.errors import ScoreError

    if diagnose:
        raise ScoreError(
            f"{path}: a diagnosis needs predictions, found stored errors: evaluate the "
            "predictions with --diagnose"
        )
    return errors


def _only_dataset(
    home: Home, preds: Sequence[Path], read: Sequence[Predictions | SampleErrors]
) -> HandFile:
    """The converted file of the one dataset that all predictions name."""
    from handbench.errors import PredictionsError
    from handbench.hdf5.reader import HandFile
    from handbench.predictions.record import Predictions

    names = sorted(
        {one.dataset if isinstance(one, Predictions) else one.about["dataset"] for one in read}
    )
    if len(names) > 1:
        raise PredictionsError(
            f"expected predictions for one dataset, found {', '.join(names)}: evaluate them one "
            "dataset at a time"
        )
    name = names[0]
    # The rule of convert: any other name would climb out of the folder of datasets.
    if name.startswith(".") or any(mark in name for mark in "/\\"):
        raise PredictionsError(
            f"{preds[0]}: expected a dataset name that can be a file name, found {name!r}: "
            "name the file that was predicted on with --data"
        )
    path = home.dataset(name)
    if not path.is_file():
        raise PredictionsError(
            f"{preds[0]}: predictions for dataset {name!r}, but there is no {path}: "
            "convert the dataset, or name its file with --data"
        )
    return HandFile(path)


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
    breakdowns: Mapping[str, Sequence[Breakdown]],
) -> None:
    from handbench.scores.diagnosis_text import diagnosis_text
    from handbench.scores.text import report_text, subsets_text

    # Wrapped for a reader at a terminal; one line a metric for a program behind a pipe.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    blocks = [report_text(labels, evaluations, protocols, rankings, width)]
    blocks += [
        subsets_text(label, breakdown)
        for label, of_model in breakdowns.items()
        for breakdown in of_model
    ]
    blocks += [
        diagnosis_text(evaluation.diagnosis, width, label)
        for label, evaluation in zip(labels, evaluations)
        if evaluation.diagnosis is not None
    ]
    click.echo("\n\n".join(blocks))


def _print_short(
    layout: Layout,
    labels: Sequence[str],
    evaluations: Sequence[Evaluation],
    rankings: Sequence[Ranking],
) -> None:
    from handbench.reports.tables import ties_of

    named = [(label, one) for label, e in zip(labels, evaluations) for one in e.results]
    click.echo(layout.write(named, ties_of(rankings)))


def _document(
    labels: Sequence[str],
    evaluations: Sequence[Evaluation],
    rankings: Sequence[Ranking],
    breakdowns: Mapping[str, Sequence[Breakdown]],
) -> dict[str, Any]:
    from dataclasses import asdict

    models = []
    for label, evaluation in zip(labels, evaluations):
        model: dict[str, Any] = {
            "label": label,
            "results": [results.to_dict() for results in evaluation.results],
            "missing": evaluation.missing,
            "extra": evaluation.extra,
            "duplicate": evaluation.duplicate,
            "warnings": evaluation.warnings,
        }
        if evaluation.diagnosis is not None:
            model["diagnosis"] = evaluation.diagnosis.to_dict()
        models.append(model)
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
