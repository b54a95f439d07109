"""The report: one HTML file that shows how one or several models did on one split.

The file stands alone: no network, no fonts or scripts from elsewhere, pictures embedded. A content
security policy says so to the browser, and names the one script of the page by its hash, so that a
hostile sample id could not run anything even if it got past the escaping.
"""

from __future__ import annotations

import base64
import csv
import functools
import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import jinja2
import numpy as np
from markupsafe import Markup, escape

from handbench.errors import HandbenchError
from handbench.files import write_text
from handbench.hand import FINGER_COLORS
from handbench.hdf5.reader import HandFile
from handbench.reports import figures, summary
from handbench.reports.curves import CurveFamily, curve_families
from handbench.reports.gallery import Gallery, Thumbnail
from handbench.reports.ranking import main_metrics, number, rankings
from handbench.scores.intervals import MIN_CLUSTERS, RELIABLE_CLUSTERS
from handbench.scores.results import Evaluation

_TEMPLATES = Path(__file__).with_name("templates")

# A page of many models stays under five megabytes: about 14 kB a picture.
_MAX_PICTURES = 180
_PICTURES_OF_A_KIND = 6
_DISAGREEMENTS = 4
_MAX_MODELS_SIDE_BY_SIDE = 6
_MAX_NAMES_SHOWN = 60
_MAX_NAMES_IN_CSV = 5000


@dataclass(frozen=True)
class ModelView:
    """What the page says about one model.

    Attributes
    ----------
    slot
        Position among the models; decides line style and anchor.
    name
        Model name, made unique by a number where two are called the same.
    evaluation
        As scored.
    coverage
        Fraction of expected hands that were predicted; None when none were expected.
    clusters
        Number of groups that the bootstrap resamples.
    groups
        Title → rows, for tables: fingers, joint types, visibility, side.
    joints
        One row a joint.
    hand
        The schematic hand.
    histogram
        Distribution of the mean error of a hand; None when no hand was scored.
    spread
        The same distribution in a sentence.
    pictures
        Title → thumbnails; kinds without any are left out.
    """

    slot: int
    name: str
    evaluation: Evaluation
    coverage: float | None
    clusters: int
    groups: dict[str, list[summary.GroupErrors]]
    joints: list[summary.GroupErrors]
    hand: Markup
    histogram: Markup | None
    spread: str
    pictures: dict[str, list[Thumbnail]]


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
        A unique name for each model; by default its own, numbered where two are called the same.
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
    names = labels or _unique_names([e.results[0].model["name"] for e in evaluations])
    write_text(Path(out), render(evaluations, names, data, photos=photos))
    return Path(out)


def render(
    evaluations: Sequence[Evaluation], names: Sequence[str], data: HandFile, *, photos: bool
) -> str:
    """Return the page that :func:`write_report` writes."""
    first = evaluations[0].results[0]
    gallery = Gallery(data, first.split, photos=photos)
    basis = summary.choose_basis(evaluations)
    models = _views(evaluations, names, gallery, basis)
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
            curves=[(family, _curve_csv(family)) for family in curve_families(evaluations, names)],
            joint_dots=_joint_dots(models, basis),
            disagreements=_disagreements(evaluations, names, gallery),
            photos=photos,
            finger_colors=FINGER_COLORS,
            legend_key=figures.legend_key,
            main_metrics=main_metrics,
            names_csv=_names_csv,
            joints_csv=_joints_csv,
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


def _unique_names(names: Sequence[str]) -> list[str]:
    return [
        f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def _views(
    evaluations: Sequence[Evaluation],
    names: Sequence[str],
    gallery: Gallery,
    basis: summary.Basis,
) -> list[ModelView]:
    joints = [summary.by_joint(evaluation.errors, basis) for evaluation in evaluations]
    # One colour scale for all models, so that their hands can be compared at a glance.
    medians = [row.median for rows in joints for row in rows if row.median is not None]
    low, high = min(medians, default=0.0), max(medians, default=0.0)
    each = min(_PICTURES_OF_A_KIND, max(2, _MAX_PICTURES // (4 * len(evaluations))))
    views = []
    for slot, (evaluation, name) in enumerate(zip(evaluations, names, strict=True)):
        errors = evaluation.errors
        means = summary.hand_means(basis.errors(errors))
        scored = means[np.isfinite(means)]
        samples = evaluation.results[0].samples
        expected = samples["expected"]
        views.append(
            ModelView(
                slot=slot,
                name=name,
                evaluation=evaluation,
                coverage=samples["predicted"] / expected if expected else None,
                clusters=len(np.unique(errors.cluster)),
                groups={
                    title: rows
                    for title, rows in (
                        ("Finger", summary.by_finger(errors, basis)),
                        ("Joint type", summary.by_joint_type(errors, basis)),
                        ("Visibility", summary.by_visibility(errors, basis)),
                        ("Side", summary.by_side(errors, basis)),
                    )
                    if rows
                },
                joints=joints[slot],
                hand=figures.hand(
                    [row.median for row in joints[slot]],
                    f"Schematic hand with the median error of each joint of {name}, in "
                    f"{basis.unit}; the table beside it holds the same numbers.",
                    low=low,
                    high=high,
                    unit=basis.unit,
                ),
                histogram=_histogram(scored, name, basis) if len(scored) else None,
                spread=_spread(scored, basis.unit),
                pictures=_pictures(evaluation, gallery, each),
            )
        )
    return views


def _histogram(means: summary.Floats, name: str, basis: summary.Basis) -> Markup:
    middle, wide = np.percentile(means, [50, 95])
    return figures.histogram(
        means,
        f"mean error of a hand, {basis.words}",
        f"Histogram of the mean error of {len(means)} hands of {name}: median {middle:.1f} "
        f"{basis.unit}, 95th percentile {wide:.1f}, largest {means.max():.1f}.",
    )


def _spread(means: summary.Floats, unit: str) -> str:
    if len(means) == 0:
        return ""
    if len(means) == 1:
        return f"One hand was scored; its mean error is {means[0]:.2f} {unit}."
    middle, wide = np.percentile(means, [50, 95])
    return (
        f"Of {len(means):,} scored hands, half have a mean error of {middle:.2f} {unit} or less, "
        f"95\u202f% of {wide:.2f} {unit} or less, and the worst has {means.max():.2f} {unit}."
    )


def _pictures(evaluation: Evaluation, gallery: Gallery, each: int) -> dict[str, list[Thumbnail]]:
    picks = summary.pick_samples(evaluation.errors, each)
    kinds = {
        "Worst": picks.worst,
        "Missed": picks.missed,
        "Typical": picks.median,
        "Best": picks.best,
    }
    drawn = {
        title: gallery.thumbnails(evaluation.errors, rows) for title, rows in kinds.items() if rows
    }
    return {title: thumbnails for title, thumbnails in drawn.items() if thumbnails}


def _disagreements(
    evaluations: Sequence[Evaluation], names: Sequence[str], gallery: Gallery
) -> list[tuple[str, list[Thumbnail]]]:
    if len(evaluations) < 2:
        return []
    compared = list(zip(evaluations, names, strict=True))[:_MAX_MODELS_SIDE_BY_SIDE]
    rows = []
    for sample_id in summary.disagreements([e for e, _ in compared], _DISAGREEMENTS):
        thumbnails: list[Thumbnail] = []
        for evaluation, name in compared:
            row = np.flatnonzero(evaluation.errors.sample_id == sample_id).tolist()
            thumbnails += gallery.thumbnails(evaluation.errors, row, model=name)
        if thumbnails:
            rows.append((sample_id, thumbnails))
    return rows


def _joint_dots(models: Sequence[ModelView], basis: summary.Basis) -> Markup | None:
    if len(models) < 2:
        return None
    return figures.joint_dots(
        [[row.median for row in model.joints] for model in models],
        f"median error, {basis.words}",
        "Median error of each joint, one dot a model; the table below holds the same numbers.",
    )


# --- numbers to take away -----------------------------------------------------------------------


def _curve_csv(family: CurveFamily) -> str:
    header = [family.x_label, *(series.name for series in family.series)]
    return csv_address(header, zip(*family.columns, strict=True))


def _joints_csv(models: Sequence[ModelView]) -> str:
    rows = [
        (model.name, row.name, row.labelled, row.missed, row.median, row.mean, row.p95)
        for model in models
        for row in model.joints
    ]
    header = ("model", "joint", "labelled", "missed", "median", "mean", "p95")
    return csv_address(header, rows)


def _names_csv(evaluation: Evaluation) -> str:
    kinds = {
        "missing": evaluation.missing,
        "extra": evaluation.extra,
        "duplicate": evaluation.duplicate,
    }
    rows = [(kind, name) for kind, names in kinds.items() for name in names[:_MAX_NAMES_IN_CSV]]
    return csv_address(("kind", "sample_id"), rows)


def csv_address(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a ``data:`` address that downloads a table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(cell) for cell in header])
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    return "data:text/csv;charset=utf-8," + quote(text.getvalue())


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value  # a spreadsheet would run =HYPERLINK(…) as a formula
    if isinstance(value, float):
        return f"{value:.6g}" if np.isfinite(value) else ""
    return "" if value is None else value


def _count(value: int) -> str:
    return f"{value:,}"


def _wrappable(metric: str) -> Markup:
    """Let a long metric name break after commas and before brackets."""
    return Markup(re.sub(r"(,|@|(?=\[))", r"\1<wbr>", str(escape(metric))))  # noqa: S704 - escaped


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "\u2212")  # a hyphen is not a minus sign


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
