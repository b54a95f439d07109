"""Published numbers that ship with handbench, and where they may stand beside ours.

``published.json`` holds the rows as printed, with the source of each; ``published_names.json`` maps
their datasets, splits, protocols and metrics to ours, for those that are the same. Everything else
is for reference alone, with the reason.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from handbench.leaderboard.board import Group, PublishedEvidence, PublishedRow, Table
from handbench.leaderboard.groups import Key, title_of
from handbench.leaderboard.signatures import parts
from handbench.leaderboard.slugs import unique_slugs
from handbench.scores.protocols import find_protocol


@dataclass(frozen=True)
class PublishedGroup:
    """Rows of one dataset, split and protocol, in the words of their source.

    Attributes
    ----------
    dataset, split, protocol
        Names in the file of published results.
    rows
        In the order of the file.
    ours
        The group of ours that has the same samples and protocol; None where there is none.
    expected
        Hands in the published split; None where it is not published.
    reference_only
        Why `ours` is None.
    remark
        What else a reader should know.
    """

    dataset: str
    split: str
    protocol: str
    rows: tuple[PublishedRow, ...]
    ours: Key | None
    expected: int | None
    reference_only: str
    remark: str


def header() -> dict[str, Any]:
    """Facts on the published rows: ``evidence_levels``, ``units``, ``protocols``, in words."""
    facts = dict(_document("published.json"))
    del facts["rows"]
    return facts


@functools.cache
def published_groups() -> tuple[PublishedGroup, ...]:
    """All published rows, in the order of the table of names."""
    names = _document("published_names.json")
    rows: dict[Key, list[dict[str, Any]]] = {}
    for row in _document("published.json")["rows"]:
        rows.setdefault((row["dataset"], row["split"], row["protocol"]), []).append(row)
    groups = []
    for entry in names["groups"]:
        place = (entry["dataset"], entry["split"], entry["protocol"])
        known = names["metrics"].get(entry["protocol"], {})
        same = entry.get("metrics", list(known))
        metrics = {printed: name for printed, name in known.items() if printed in same}
        groups.append(
            PublishedGroup(
                *place,
                rows=tuple(_row(row, metrics) for row in rows[place]),
                ours=_ours(entry.get("ours")),
                expected=entry.get("expected"),
                reference_only=entry.get("reference_only", ""),
                remark=entry.get("remark", ""),
            )
        )
    return tuple(groups)


def with_published(groups: Sequence[Group]) -> list[Group]:
    """Put published rows beside results of the same samples, and the others behind them.

    Rows stand beside ours only where a table holds scores of the whole published split; else they
    make a group of their own that says why.
    """
    beside: dict[Key, PublishedGroup] = {}
    alone: list[Group] = []
    by_key = {(group.dataset, group.split, group.protocol): group for group in groups}
    for published in published_groups():
        ours = None if published.ours is None else by_key.get(published.ours)
        if published.ours is None or ours is None:
            alone.append(_alone(published))
        elif any(_whole(table, published.expected) for table in ours.tables):
            beside[published.ours] = published
        else:
            alone.append(_alone(published, _other_samples(ours, published)))
    joined = [_join(group, beside) for group in groups]
    # Mapped ones first: results may join them.
    alone.sort(key=lambda g: (bool(g.reference_only), g.dataset.casefold(), g.split, g.protocol))
    called = [group.slug for group in joined]
    called += [f"published {g.dataset} {g.split} {g.protocol}" for g in alone]
    slugs = unique_slugs(called)
    return [replace(group, slug=slug) for group, slug in zip([*joined, *alone], slugs)]


def _join(group: Group, beside: dict[Key, PublishedGroup]) -> Group:
    published = beside.get((group.dataset, group.split, group.protocol))
    if published is None:
        return group
    # The first table is the one that published rows stand in.
    tables = sorted(group.tables, key=lambda table: not _whole(table, published.expected))
    return replace(
        group,
        tables=tuple(tables),
        published=published.rows,
        published_remark=published.remark,
    )


def _alone(published: PublishedGroup, other_samples: str = "") -> Group:
    """A group of published rows; under our names where results could join it."""
    if published.ours is None or other_samples:
        place = (published.dataset, published.split, published.protocol)
        title, summary = "", str(header()["protocols"].get(published.protocol, ""))
    else:
        place = published.ours
        name = place[2].partition("/")[0]
        title, summary = title_of(place[0]), find_protocol(name).summary
    return Group(
        *place,
        slug="",
        title=title,
        protocol_summary=summary,
        tables=(),
        published=published.rows,
        reference_only=other_samples or published.reference_only,
        published_remark=published.remark,
    )


def _whole(table: Table, expected: int | None) -> bool:
    """Whether a table holds scores of the published split, and of all of it."""
    scored = table.rows[0].entry.results.samples["expected"]
    every = parts(table.signature).get("ids") == "all"
    return every and scored > 0 and expected in (None, scored)


def _other_samples(ours: Group, published: PublishedGroup) -> str:
    scored = sorted({t.rows[0].entry.results.samples["expected"] for t in ours.tables})
    counts = ", ".join(f"{count:,}" for count in scored)
    whole = "the whole split" if published.expected is None else f"{published.expected:,}"
    return (
        f"results for {ours.dataset} {ours.split} under {ours.protocol} are of {counts} hands, "
        f"these of {whole}"
    )


def _row(row: dict[str, Any], metrics: dict[str, str]) -> PublishedRow:
    printed: dict[str, float] = row["metrics"]
    return PublishedRow(
        dataset=row["dataset"],
        split=row["split"],
        protocol=row["protocol"],
        model=row["model"],
        backbone=row["backbone"] or "",
        input_size=row["input_size"] or "",
        printed=printed,
        # Units agree wherever names do: fractions, px and mm; a test holds the table to it.
        values={metrics[name]: value for name, value in printed.items() if name in metrics},
        source=row["source"],
        year=row["year"],
        evidence=PublishedEvidence(row["evidence"]),
        note=row["note"] or "",
    )


def _ours(names: dict[str, str] | None) -> Key | None:
    if names is None:
        return None
    # A new version of ours is a better reproduction of the same convention.
    return names["dataset"], names["split"], find_protocol(names["protocol"]).tag


@functools.cache
def _document(name: str) -> dict[str, Any]:
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document
