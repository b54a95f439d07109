"""Entries → groups (pages by dataset, split and protocol) and models (pages by name)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from handbench.errors import HandbenchError
from handbench.leaderboard.board import Entry, Group, Model, Row
from handbench.leaderboard.history import newest_first
from handbench.leaderboard.signatures import differences, protocol_tag
from handbench.leaderboard.slugs import unique_slugs
from handbench.leaderboard.tables import make_table, preset_of
from handbench.sources import manifest

Key = tuple[str, str, str]
"""Dataset, split, protocol with its version."""

_FACTS = ("params", "training_data", "url", "note", "input", "gt_used")


def key_of(entry: Entry) -> Key:
    """Where an entry stands."""
    return entry.results.dataset, entry.results.split, protocol_tag(entry.results)


def make_groups(entries: Sequence[Entry], *, rank_self_reported: bool = False) -> list[Group]:
    """One group a dataset, split and protocol version, by name."""
    together: dict[Key, dict[str, list[Entry]]] = {}
    for entry in entries:
        same_place = together.setdefault(key_of(entry), {})
        same_place.setdefault(entry.results.signature, []).append(entry)
    keys = sorted(together)
    groups = []
    for key, name in zip(keys, unique_slugs(" ".join(key) for key in keys)):
        by_signature = together[key]
        # The largest table first; the text decides between equals.
        signatures = sorted(by_signature, key=lambda text: (-len(by_signature[text]), text))
        tables = tuple(
            make_table(by_signature[text], apart, rank_self_reported=rank_self_reported)
            for text, apart in zip(signatures, differences(signatures))
        )
        preset = preset_of(tables[0].rows[0].entry.results)
        groups.append(
            Group(
                dataset=key[0],
                split=key[1],
                protocol=key[2],
                slug=name,
                title=title_of(key[0]),
                protocol_summary=preset.summary if preset else "",
                tables=tables,
            )
        )
    return groups


def make_models(groups: Sequence[Group]) -> list[Model]:
    """One model a name, with all its places."""
    places: dict[str, list[tuple[str, Row]]] = {}
    for group in groups:
        for table in group.tables:
            for row in table.rows:
                places.setdefault(row.entry.name, []).append((group.slug, row))
    names = sorted(places, key=lambda name: (name.casefold(), name))
    return [_model(name, slug, places[name]) for name, slug in zip(names, unique_slugs(names))]


def _model(name: str, slug: str, places: Sequence[tuple[str, Row]]) -> Model:
    of_group: dict[str, list[Entry]] = {}
    for group, row in places:
        of_group.setdefault(group, []).append(row.entry)
    newest = newest_first([row.entry for _, row in places])[0].results.model
    history = {
        group: tuple(newest_first(entries))
        for group, entries in of_group.items()
        if any(entry.superseded_by for entry in entries)
    }
    facts: dict[str, Any] = {
        fact: newest[fact] for fact in _FACTS if newest.get(fact) not in (None, "", {})
    }
    current = tuple((group, row) for group, row in places if not row.entry.superseded_by)
    return Model(name=name, slug=slug, facts=facts, places=current, history=history)


def title_of(dataset: str) -> str:
    """Title of a dataset that handbench knows, else ""."""
    if dataset not in manifest.names():
        return ""
    try:
        return manifest.load(dataset).title
    except HandbenchError:
        return ""
