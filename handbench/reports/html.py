"""The report: one HTML file that shows how one or several models did on one split.

The file stands alone: no network, no fonts or scripts from elsewhere, pictures embedded. A content
security policy says so to the browser, and names the one script of the page by its hash, so that a
hostile sample id could not run anything even if it got past the escaping.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from handbench.errors import HandbenchError
from handbench.files import write_text
from handbench.hand import FINGER_COLORS
from handbench.hdf5.reader import HandFile
from handbench.reports.curves import curve_families
from handbench.reports.downloads import curve_csv, joints_csv, names_csv
from handbench.reports.figures import legend_key
from handbench.reports.gallery import Gallery
from handbench.reports.ranking import main_metrics, number, rankings
from handbench.reports.summary import choose_basis
from handbench.reports.views import disagreements, joint_dots, model_views
from handbench.scores.intervals import MIN_CLUSTERS, RELIABLE_CLUSTERS
from handbench.scores.results import Evaluation

_TEMPLATES = Path(__file__).with_name("templates")
_MAX_NAMES_SHOWN = 60


def write_report(
    evaluations: Sequence[Evaluation],
    data: HandFile,
    out: Path,
    *,
    labels: Sequence[str] | None = None,
    images: bool | None = None,
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

    Returns
    -------
    `out`.

    Raises
    ------
    HandbenchError
        If there is no evaluation or result, or if the models were scored on different splits.
    """
    _check(evaluations)
    photos = bool(data.attributes.get("publish_images", False)) if images is None else images
    names = _unique(labels or [e.results[0].model["name"] for e in evaluations])
    write_text(Path(out), render(evaluations, names, data, photos=photos))
    return Path(out)


def render(
    evaluations: Sequence[Evaluation], names: Sequence[str], data: HandFile, *, photos: bool
) -> str:
    """Return the page that :func:`write_report` writes."""
    first = evaluations[0].results[0]
    gallery = Gallery(data, first.split, photos=photos)
    basis = choose_basis(evaluations)
    models = model_views(evaluations, names, gallery, basis)
    script = (_TEMPLATES / "report.js").read_text("utf-8")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            style=Markup((_TEMPLATES / "report.css").read_text("utf-8")),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            dataset=first.dataset,
            split=first.split,
            title=data.attributes.get("title", first.dataset),
            cluster_unit=data[first.split].cluster_unit,
            models=models,
            basis=basis,
            rankings=rankings(evaluations, names),
            curves=[(family, curve_csv(family)) for family in curve_families(evaluations, names)],
            joint_dots=joint_dots(models, basis),
            disagreements=disagreements(evaluations, names, gallery),
            photos=photos,
            finger_colors=FINGER_COLORS,
            legend_key=legend_key,
            main_metrics=main_metrics,
            names_csv=names_csv,
            joints_csv=joints_csv,
            min_clusters=MIN_CLUSTERS,
            reliable_clusters=RELIABLE_CLUSTERS,
            max_names=_MAX_NAMES_SHOWN,
            data_attributes=data.attributes,
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    """Templates, compiled once a process."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        number=number,
        count=_count,
        percent=_percent,
        joint=lambda name: name.replace("_", " "),
        wrappable=_wrappable,
        sentence=_sentence,
        signed=_signed,
    )
    return environment


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


def _count(value: int) -> str:
    return f"{value:,}"


def _wrappable(metric: str) -> Markup:
    """Let a long metric name break after commas and before brackets."""
    return Markup(re.sub(r"(,|@|(?=\[))", r"\1<wbr>", str(escape(metric))))  # noqa: S704 - escaped


def _signed(value: float, digits: int = 4) -> str:
    return f"{value:+.{digits}f}".replace("-", "\u2212")  # a hyphen is not a minus sign


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _percent(value: float | None, digits: int = 1) -> str:
    if value is None:
        return "–"
    text = f"{100 * value:.{digits}f}"
    # 3,959 of 3,960 is not "100.0 %".
    if value < 1 and float(text) == 100:
        text = "> " + f"{100 - 10.0**-digits:.{digits}f}"
    return f"{text}\u202f%"
