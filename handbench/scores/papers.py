"""What to cite: the BibTeX of everything that results rest on, each entry once, with the reason.

Datasets are cited as their manifests say, protocols as :attr:`~.protocol.Protocol.cites` says. What
nobody declared is said to be unknown: an undeclared training set is not an empty one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from handbench import __version__
from handbench.errors import HandbenchError
from handbench.scores.protocols import PROTOCOLS
from handbench.scores.results import Results
from handbench.sources import manifest as manifests

BASELINE = "xiao2018simple"
_BASELINE_NOTE = "handbench baseline"
"""How predictions of the reference baseline describe it."""
_SUBSET = "-subset"
"""What `handbench convert` adds to the name of a dataset that it read in part."""
_ENTRY = re.compile(r"^@\w+\{(?P<key>[^,\s]+),.*?^\}", re.MULTILINE | re.DOTALL)


@dataclass
class Citations:
    """Entries in the order in which they were asked for.

    Attributes
    ----------
    entries
        BibTeX entry → why it is there.
    unknown
        Sentences on what cannot be cited.
    """

    entries: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def add(self, entry: str, reason: str) -> None:
        """Cite `entry` because of `reason`; each once."""
        reasons = self.entries.setdefault(entry.strip(), [])
        if reason not in reasons:
            reasons.append(reason)

    def cannot(self, sentence: str) -> None:
        """Say what cannot be cited, once."""
        if sentence not in self.unknown:
            self.unknown.append(sentence)

    def text(self) -> str:
        """BibTeX, every entry below comment lines that say why it is there."""
        blocks = []
        if self.unknown:
            blocks.append("\n".join(f"% {_plain(sentence)}" for sentence in self.unknown))
        for entry, reasons in self.entries.items():
            blocks.append("\n".join([*(f"% {_plain(reason)}" for reason in reasons), entry]))
        return "\n\n".join(blocks)


def cite_results(named: Sequence[tuple[str, Results]], citations: Citations) -> None:
    """Cite what results rest on: data tested and trained on, protocol, baseline, handbench.

    Parameters
    ----------
    named
        Label of the model and its results.
    citations
        Where to.
    """
    for _, one in named:
        cite_dataset(one.dataset, f"tested on {one.dataset} {one.split}", citations)
    for label, one in named:
        trained = one.model.get("training_data")
        if trained is None or trained == "unknown":
            citations.cannot(f"training data of {label}: not declared, so unknown")
            continue
        for part in trained:
            name = str(part).partition("/")[0]
            cite_dataset(name, f"{label} was trained on {part}", citations)
        if not trained:
            citations.cannot(f"training data of {label}: none, as it declares")
    for _, one in named:
        cite_protocol(one.protocol, citations)
    for label, one in named:
        if str(one.model.get("note", "")).startswith(_BASELINE_NOTE):
            citations.add(papers()[BASELINE], f"{label} is the reference baseline")
    made = (str(one.provenance.get("handbench", "unknown")) for _, one in named)
    citations.add(_handbench(list(dict.fromkeys(made))), "the numbers were made with handbench")


def cite_dataset(name: str, reason: str, citations: Citations) -> None:
    """Cite a dataset by its manifest, or say that there is nothing to cite."""
    known = name.removesuffix(_SUBSET)
    if known not in manifests.names():
        citations.cannot(f"{reason}: handbench has no dataset of that name, cite it by its source")
        return
    entry = manifests.load(known).citation
    if entry.strip():
        citations.add(entry, reason)
    else:
        citations.cannot(f"{reason}: its manifest names no publication")


def cite_protocol(name: str, citations: Citations) -> None:
    """Cite the papers behind a protocol, or say that there are none."""
    reason = f"protocol {name}"
    protocol = next((p for p in PROTOCOLS if p.name == name), None)
    if protocol is None or not protocol.cites:
        own = protocol is not None or name == "custom"
        why = "handbench's own, no publication" if own else "unknown to this handbench"
        citations.cannot(f"{reason}: {why}")
        return
    for key in protocol.cites:
        citations.add(papers()[key], f"{reason} reproduces {protocol.source}")


def cite_handbench(citations: Citations) -> None:
    """Cite this handbench."""
    citations.add(_handbench([__version__]), "the tool")


@functools.cache
def papers() -> dict[str, str]:
    """BibTeX key → entry, of protocols, the baseline and all manifests.

    Raises
    ------
    HandbenchError
        If two entries have the same key and differ.
    """
    texts = [Path(__file__).with_name("papers.bib").read_text("utf-8")]
    texts += [manifests.load(name).citation for name in manifests.names()]
    found: dict[str, str] = {}
    for key, entry in _entries(texts):
        if found.setdefault(key, entry) != entry:
            raise HandbenchError(f"two BibTeX entries have the key {key!r}: give one another key")
    return found


def _entries(texts: Iterable[str]) -> list[tuple[str, str]]:
    return [(match["key"], match[0].strip()) for text in texts for match in _ENTRY.finditer(text)]


def _handbench(versions: Sequence[str]) -> str:
    # Versions come from results files, and stand inside braces.
    plain = " and ".join(re.sub(r"[^\w.+-]", "", version) or "unknown" for version in versions)
    return (
        "@misc{handbench,\n"
        "  title  = {handbench: Prepare Hand-Pose Datasets and Compare Hand-Pose Models},\n"
        "  author = {{The handbench developers}},\n"
        f"  note   = {{Version {plain}}}\n"
        "}"
    )


def _plain(text: str) -> str:
    """One line: a comment ends where its line ends."""
    return " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
