"""The report: one HTML file that shows how one or several models did on one split.

The file stands alone: no network, no fonts or scripts from elsewhere, pictures embedded. A content
security policy says so to the browser, and names the one script of the page by its hash, so that a
hostile sample id could not run anything even if it got past the escaping.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from handbench.errors import HandbenchError
from handbench.files import write_text
from handbench.hand import FINGER_COLORS, FINGERS, JOINT_NAMES
from handbench.hdf5.reader import HandFile
from handbench.reports.breakdowns import ALWAYS, group_tables, unit_of
from handbench.reports.curves import FLOOR_NAME, curve_families
from handbench.reports.diagnoses import diagnosis_of
from handbench.reports.differences import differences
from handbench.reports.downloads import (
    curve_csv,
    diagnosis_csv,
    differences_csv,
    groups_csv,
    joints_csv,
    names_csv,
)
from handbench.reports.floors import floors, truths
from handbench.reports.gallery import KIND_OF, Gallery
from handbench.reports.ranking import is_error, main_metrics, number, rankings
from handbench.reports.summary import choose_basis
from handbench.reports.svg import FLOOR, legend_key
from handbench.reports.templating import environment, script_hash
from handbench.reports.views import disagreement_pictures, joint_dots, model_views
from handbench.scores.error_classes import MEANINGS, NAMES
from handbench.scores.intervals import MIN_CLUSTERS, RELIABLE_CLUSTERS
from handbench.scores.results import Evaluation

_TEMPLATES = Path(__file__).with_name("templates")
_MAX_NAMES_SHOWN = 60
# A page stays under five megabytes: pictures and the numbers of groups are most of it.
_PICTURE_BYTES = 3_700_000


def write_report(
    evaluations: Sequence[Evaluation],
    data: HandFile,
    out: Path,
    *,
    labels: Sequence[str] | None = None,
    images: bool | None = None,
    by: Sequence[str] = (),
) -> Path:
    """Write the report of one or several models on one split.

    Parameters
    ----------
    evaluations
        One a model, all of the same dataset and split.
    data
        The file that holds the pictures and the truth.
    out
        The HTML file to write.
    labels
        A name for each model; by default its own. Models called the same are numbered.
    images
        Show photos. By default as the file's attribute ``publish_images`` says; without photos the
        skeletons stand on plain grey.
    by
        Further groupings or columns to break the scores down by.

    Returns
    -------
    `out`.

    Raises
    ------
    HandbenchError
        If there is no evaluation or result, if the models were scored on different splits, or if a
        grouping is unknown.
    """
    _check(evaluations)
    photos = bool(data.attributes.get("publish_images", False)) if images is None else images
    names = _unique(labels or [e.results[0].model["name"] for e in evaluations])
    write_text(Path(out), render(evaluations, names, data, photos=photos, by=by))
    return Path(out)


def render(
    evaluations: Sequence[Evaluation],
    names: Sequence[str],
    data: HandFile,
    *,
    photos: bool,
    by: Sequence[str] = (),
) -> str:
    """Return the page that :func:`write_report` writes."""
    first = evaluations[0].results[0]
    gallery = Gallery(data, first.split, photos=photos)
    basis = choose_basis(evaluations)
    labels = truths(evaluations, data)
    floor = floors(evaluations, labels)
    diagnoses = [diagnosis_of(e, truth) for e, truth in zip(evaluations, labels, strict=True)]
    ranked = rankings(evaluations, names, floor)
    together = next((table for table in ranked if len(table.slots) > 1), None)
    known = all(truth is not None for truth in labels)
    groups, whole = group_tables(evaluations, data, by) if known else ([], [])
    group_addresses = {table.by: groups_csv(names, table) for table in groups}
    # Last, because examples take what room everything else leaves.
    disagreements = disagreement_pictures(evaluations, names, gallery)
    room = _PICTURE_BYTES - sum(map(len, group_addresses.values()))
    models = model_views(evaluations, names, gallery, basis, diagnoses, room)
    script = (_TEMPLATES / "report.js").read_text("utf-8")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            style=Markup((_TEMPLATES / "report.css").read_text("utf-8")),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            script_hash=script_hash(script),
            dataset=first.dataset,
            split=first.split,
            title=data.attributes.get("title", first.dataset),
            cluster_unit=data[first.split].cluster_unit,
            models=models,
            basis=basis,
            rankings=ranked,
            # Distances of models that found different hands, or were told different things, are
            # different quantities.
            comparable=together is not None
            and len(together.slots) == len(models)
            and not together.unequal_coverage,
            together=together,
            curves=[
                (family, curve_csv(family))
                for family in curve_families(evaluations, names, floor[0])
            ],
            joint_dots=joint_dots(models, basis),
            differences=differences(evaluations, names, together) if together else None,
            groups=groups,
            whole=whole,
            known=known,
            asked=[name for name in by if name not in ALWAYS],
            disagreements=disagreements,
            photos=photos,
            names=names,
            finger_colors=FINGER_COLORS,
            fingers=FINGERS,
            joint_names=JOINT_NAMES,
            kind_of=KIND_OF,
            kinds=list(zip(NAMES, MEANINGS, strict=True)),
            floor_slot=FLOOR,
            floor_name=FLOOR_NAME,
            legend_key=legend_key,
            main_metrics=main_metrics,
            unit_of=unit_of,
            smaller_is_better=is_error,
            names_csv=names_csv,
            joints_csv=joints_csv,
            group_addresses=group_addresses,
            diagnosis_csv=diagnosis_csv,
            differences_csv=differences_csv,
            min_clusters=MIN_CLUSTERS,
            reliable_clusters=RELIABLE_CLUSTERS,
            max_names=_MAX_NAMES_SHOWN,
            data_attributes=data.attributes,
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    """Templates, compiled once a process."""
    made = environment(_TEMPLATES)
    made.filters.update(
        number=number,
        percent=_percent,
        joint=lambda name: name.replace("_", " "),
        sentence=_sentence,
        signed=_signed,
        signed_number=_signed_number,
    )
    return made


def _check(evaluations: Sequence[Evaluation]) -> None:
    if not evaluations or any(not evaluation.results for evaluation in evaluations):
        raise HandbenchError(
            "a report needs at least one model scored under at least one protocol, found none: "
            "run `handbench evaluate` on a predictions file"
        )
    splits = sorted({(r.dataset, r.split) for e in evaluations for r in e.results})
    if len(splits) > 1:
        found = ", ".join(f"{dataset}/{split}" for dataset, split in splits)
        raise HandbenchError(
            f"a report compares models on one split of one dataset, found {found}: write one "
            "report for each"
        )


def _unique(names: Sequence[str]) -> list[str]:
    unique: list[str] = []
    for name in names:
        candidate, number = name, 2
        while candidate in unique:
            candidate, number = f"{name} ({number})", number + 1
        unique.append(candidate)
    return unique


def _signed(value: float, digits: int = 4) -> str:
    text = f"{value:+.{digits}f}"
    if float(text) == 0:
        return text[1:]
    return text.replace("-", "\u2212")  # a hyphen is not a minus sign


def _signed_number(value: float, unit: str) -> str:
    return _signed(value, 4 if unit == "fraction" else 2)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "…")) else ".")


def _percent(value: float | None, digits: int = 1) -> str:
    if value is None:
        return "–"
    text = f"{100 * value:.{digits}f}"
    # 3,959 of 3,960 is not "100.0 %".
    if value < 1 and float(text) == 100:
        text = "> " + f"{100 - 10.0**-digits:.{digits}f}"
    elif value > 0 and float(text) == 0:
        text = f"< {10.0**-digits:.{digits}f}"
    return f"{text}\u202f%"
