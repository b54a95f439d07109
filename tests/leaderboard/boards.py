"""Boards by hand: every field of the interface filled, so that pages need nothing to compute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from handbench.leaderboard.board import (
    Board,
    Cell,
    Column,
    Contamination,
    Entry,
    Evidence,
    Group,
    Matrix,
    Model,
    Overlap,
    PublishedEvidence,
    PublishedRow,
    Row,
    Table,
)
from handbench.scores.results import MetricValue, Results

HOSTILE = '<script>alert("x")</script><b title=\'"\'>&amp;{{ 7 * 7 }}'
LONG = "a_model_whose_name_has_no_end_" * 8
RIGHT_TO_LEFT = "نموذج اليد \u202eevil"
CHINESE = "手部姿态估计模型"

AUC, PCK, EPE, PA = "AUC@0-0.2[tight,rule=exact]", "PCK@0.2[bbox]", "EPE[px]", "PA-MPJPE[mm]"
COLUMNS = (
    Column(AUC, "fraction", "Threshold-free area under the PCK curve", False, True),
    Column(PCK, "fraction", "Share of joints within 0.2 of the box", False, True),
    Column(EPE, "px", "Mean distance in px of the source image", True, True),
    Column(PA, "mm", "Mean distance in mm after Procrustes alignment", True, False),
)
CLEAN = Contamination(Overlap.NONE, "freihand/train shares no image with freihand/test")


def results(
    name: str,
    values: dict[str, float | None],
    *,
    dataset: str = "freihand",
    split: str = "test",
    protocol: str = "handbench",
    found: int = 100,
    created: str = "2026-03-01T10:00:00+00:00",
    handbench: str = "1.0.0",
    detailed: bool = True,
) -> Results:
    """Results of a model; `detailed` ones have curves and numbers by joint."""
    units = {column.name: column for column in COLUMNS}
    x = [k / 50 for k in range(26)]
    epe = values.get(EPE) or 8.0
    return Results(
        dataset=dataset,
        split=split,
        model={"name": name, "params": 15_400_000, "training_data": ["freihand/train"]},
        protocol=protocol,
        signature=f"{protocol}/1; 100 hands; truth 0123456789ab; ids all; gt_used box",
        samples={
            "expected": 100,
            "predicted": found,
            "missing": 100 - found,
            "extra": 0,
            "duplicate": 0,
        },
        metrics={
            key: MetricValue(
                value,
                units[key].unit,
                units[key].definition,
                None if value is None else (0.97 * value, 1.02 * value),
            )
            for key, value in values.items()
        },
        per_joint={EPE: [epe * (0.6 + 0.04 * j) for j in range(21)]} if detailed else {},
        curves={"PCK[tight]": {"x": x, "y": [1 - math.exp(-60 * k / epe) for k in x]}}
        if detailed
        else {},
        provenance={
            "handbench": handbench,
            "command": "handbench evaluate preds.json --out results",
            "created": created,
            "data_sha256": "ab" * 32,
            "predictions_sha256": None,
        },
    )


def entry(
    one: Results,
    evidence: Evidence = Evidence.RESCORED,
    contamination: Contamination = CLEAN,
    training: tuple[str, ...] | None = ("freihand/train",),
    **changes: object,
) -> Entry:
    """An entry; `changes` replace any field."""
    made = Entry(
        results=one,
        file=f"results/{len(one.model['name'])}-{one.dataset}.json",
        slug="",
        evidence=evidence,
        evidence_sentence="the numbers were made again from the errors beside the file",
        command="handbench evaluate preds.json --data freihand.h5 --out results",
        training_data=training,
        contamination=contamination,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def table(entries: Sequence[Entry], *, unranked: dict[int, str] | None = None) -> Table:
    """A table in the given order; `unranked` names positions without a rank, and why."""
    reasons = unranked or {}
    rows, rank = [], 0
    for place, one in enumerate(entries):
        ranked = place not in reasons
        rank += ranked
        samples = one.results.samples
        rows.append(
            Row(
                entry=one,
                values=tuple(one.results.metrics.get(column.name) for column in COLUMNS),
                rank=rank if ranked else None,
                unranked=reasons.get(place, ""),
                best=frozenset({0, 1}) if rank == 1 and ranked else frozenset(),
                distinguishable=False if rank == 2 and ranked else None,
                coverage=samples["predicted"] / samples["expected"]
                if samples["expected"]
                else None,
            )
        )
    signature = entries[0].results.signature
    return Table(signature, {}, COLUMNS, tuple(rows), AUC)


def published_row(model: str, level: PublishedEvidence, **changes: object) -> PublishedRow:
    """A published number of FreiHAND."""
    made = PublishedRow(
        dataset="FreiHAND",
        split="official evaluation (3960)",
        protocol="freihand_official",
        model=model,
        backbone="HRNet-W64",
        input_size="224x224",
        printed={"pa_mpjpe": 6.6, "f5": 0.721},
        values={PA: 6.6},
        source="microsoft/MeshTransformer@cefc4af docs/EXP.md",
        year=2021,
        evidence=level,
        note="Single scale, no test-time augmentation.",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


PUBLISHED = (
    published_row("METRO", PublishedEvidence.PRIMARY),
    published_row("Boukhayma et al.", PublishedEvidence.QUOTED, year=2019, backbone=""),
    published_row("unnamed", PublishedEvidence.SECONDARY, year=None, values={}, note=""),
)


def group(tables: Sequence[Table], **changes: object) -> Group:
    """A group named after the first results in it."""
    first = tables[0].rows[0].entry.results if tables else None
    made = Group(
        dataset=first.dataset if first else "FreiHAND",
        split=first.split if first else "own split",
        protocol=f"{first.protocol}/1" if first else "freihand_official",
        slug="",
        title="FreiHAND",
        protocol_summary="2D error in units of the hand",
        tables=tuple(tables),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def board(groups: Sequence[Group], **changes: object) -> Board:
    """A board with slugs and models filled in."""
    numbered, count = [], 0
    for place, one in enumerate(groups):
        tables = []
        for each in one.tables:
            rows = []
            for row in each.rows:
                count += 1
                old = "e-newer" if row.entry.superseded_by else ""
                named = replace(row.entry, slug=f"e{count}", superseded_by=old)
                rows.append(replace(row, entry=named))
            tables.append(replace(each, rows=tuple(rows)))
        numbered.append(replace(one, slug=f"g{place}", tables=tuple(tables)))
    places: dict[str, list[tuple[str, Row]]] = {}
    past: dict[str, dict[str, list[Entry]]] = {}
    for one in numbered:
        for each in one.tables:
            for row in each.rows:
                name = row.entry.name
                past.setdefault(name, {}).setdefault(one.slug, []).append(row.entry)
                if not row.entry.superseded_by:
                    places.setdefault(name, []).append((one.slug, row))
    models = tuple(
        Model(
            name,
            f"m{k}",
            {
                **stands[0][1].entry.results.model,
                "input": {"box": "gt_annotation", "padding": 1.25, "tta": "none"},
                "gt_used": ["box"],
            },
            tuple(stands),
            {slug: tuple(entries) for slug, entries in past[name].items() if len(entries) > 1},
        )
        for k, (name, stands) in enumerate(sorted(places.items()))
    )
    return replace(Board(tuple(numbered), models, (), {}), **changes)  # type: ignore[arg-type]


def matrix(*, published: bool = False) -> Matrix:
    """Two training sets on two test sets, one cell empty, one marked."""
    mark = "HanCo shares its recordings with FreiHAND"
    return Matrix(
        title="PCK relative to the box",
        metric=PCK,
        definition="Share of joints within 0.2 of the box",
        smaller_is_better=False,
        trained_on=("freihand", "hanco + rhd"),
        tested_on=("freihand/test", "rhd/test"),
        cells={
            ("freihand", "freihand/test"): Cell(0.98, "fraction", "net", "m0", True),
            ("freihand", "rhd/test"): Cell(0.71, "fraction", "net", "m0", False),
            ("hanco + rhd", "freihand/test"): Cell(0.93, "fraction", "", "", False, mark),
        },
        remarks=("the wrists of rhd and freihand are different points",),
        published=published,
    )


def full_board(
    *, names: Sequence[str] = ("SRHand", "ResNet-18 deconv", "MediaPipe", "HandOld")
) -> Board:
    """Every kind of thing once: evidence, overlap, problems, history, published, two signatures."""
    first, second, third, fourth = names

    def scored(name: str, auc: float, **more: object) -> Results:
        numbers: dict[str, float | None] = {
            AUC: auc,
            PCK: auc + 0.1,
            EPE: 12 * (1 - auc) + 3,
            PA: 9.5,
        }
        return results(name, numbers, **more)  # type: ignore[arg-type]

    same = Contamination(
        Overlap.SAME, "its training data name freihand, of which the test is a part"
    )
    possible = Contamination(Overlap.POSSIBLE, "HanCo shares recordings with FreiHAND")
    unknown = Contamination(Overlap.UNKNOWN, "no training data are declared")
    own = "self-reported"
    entries = [
        entry(scored(first, 0.84)),
        entry(scored(second, 0.829), Evidence.REPRODUCED, possible, ("hanco/train", "rhd/train")),
        entry(scored(third, 0.80, found=97), Evidence.SELF_REPORTED, unknown, None, command=""),
        entry(scored(fourth, 0.89), contamination=same, problems=("F@5mm is above F@15mm",)),
        entry(
            scored(first, 0.81, created="2025-09-01T10:00:00+00:00", handbench="0.9.0"),
            superseded_by="newer",
        ),
    ]
    why = {2: own, 3: "the checks found a problem", 4: "a newer file of this model replaces it"}
    other = [entry(scored(second, 0.77, detailed=False))]
    other_signature = replace(
        table(other), signature="handbench/1; 60 hands", apart={"hands": "60", "ids": ""}
    )
    rhd = [entry(scored(third, 0.66, dataset="rhd", created="2026-04-01T08:00:00+00:00"))]
    alone = group((), published=PUBLISHED, reference_only="its split is not the official one")
    return board(
        [
            group([table(entries, unranked=why), other_signature], published=PUBLISHED),
            group([table(rhd)], title="Rendered Handpose Dataset"),
            alone,
        ],
        matrices=(matrix(), matrix(published=True)),
        unreadable={
            "results/new.json": "results/new.json: results format 9, "
            "but this handbench reads format 1"
        },
        notes=("two files were the same and are shown once",),
    )
