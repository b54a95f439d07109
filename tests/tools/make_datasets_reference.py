"""Write the reference parts of docs/datasets.md from the manifests.

python tests/tools/make_datasets_reference.py

Text between ``<!-- generated: PART -->`` and ``<!-- end -->`` is replaced; everything else on the
page is written by hand. A dataset without a section gets one at the end of the page, with its facts
alone. A test fails when a part is out of date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.make_metrics_reference import PART, table

from handbench.sources.facts import (
    archive_text,
    counts_text,
    facts,
    hands_text,
    labels_text,
)
from handbench.sources.manifest import Manifest, load, names

TARGET = Path(__file__).resolve().parents[2] / "docs" / "datasets.md"


def marker(name: str) -> str:
    return f"<!-- generated: facts {name} -->\n"


def cell(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


def fenced(kind: str, text: str) -> str:
    return f"```{kind}\n{text.strip()}\n```"


def bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {cell(line)}" for line in lines)


def anchor(page: str, name: str) -> str:
    """Of the heading above the facts of `name`, as GitHub makes it."""
    heading = re.findall(r"^## (.+)$", page[: page.index(marker(name))], re.MULTILINE)[-1]
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def overview(page: str) -> str:
    rows = [
        [
            f"[`{one.name}`](#{anchor(page, one.name)})",
            cell(one.title),
            counts_text(one),
            hands_text(one),
            labels_text(one),
            cell(one.license),
        ]
        for one in map(load, names())
    ]
    return table(["name", "title", "published counts", "hands", "labels", "licence"], rows)


def facts_of(manifest: Manifest) -> str:
    rows = [[label, cell(text)] for label, text in facts(manifest)]
    archives = [
        archive_text(archive).replace(archive.file, f"[{archive.file}]({archive.url})", 1)
        if archive.url
        else archive_text(archive)
        for archive in manifest.archives
    ]
    parts = [
        table([manifest.name, manifest.title], rows),
        f"Beware:\n\n{bullets(manifest.traps)}" if manifest.traps else "",
        f"Archives:\n\n{bullets(archives)}" if archives else "",
        manifest.instructions.strip(),
        f"Layout:\n\n{fenced('text', manifest.layout)}",
        f"Cite:\n\n{fenced('bibtex', manifest.citation)}" if manifest.citation.strip() else "",
    ]
    return "\n\n".join(filter(None, parts))


def refreshed(page: str) -> str:
    """`page` with a section for every manifest, and every generated part made anew."""
    for name in names():
        if marker(name) not in page:
            page = f"{page.rstrip()}\n\n## {load(name).title}\n\n{marker(name)}<!-- end -->\n"

    def part(found: re.Match[str]) -> str:
        what, _, name = found["part"].partition(" ")
        made = facts_of(load(name)) if what == "facts" else overview(page)
        return f"{found['start']}\n{made}\n\n{found['end']}"

    return PART.sub(part, page)


if __name__ == "__main__":
    TARGET.write_text(refreshed(TARGET.read_text("utf-8")), "utf-8")
    print(TARGET)
