"""What a model was trained on, and whether that shares images with what it is tested on.

Names are as declared: ``freihand/train``, a dataset alone, or a word of the model's own. What is
not declared is unknown, never none.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from handbench.errors import HandbenchError
from handbench.leaderboard.board import Contamination, Overlap
from handbench.scores.results import Results
from handbench.sources import manifest
from handbench.sources.manifest import Manifest

_WHOLE = frozenset({"all", "full", "whole", "complete", "any"})
_MIXED = frozenset({"merged", "mixed", "mix", "combined", "all"})


def declared(results: Results) -> tuple[str, ...] | None:
    """Training data as the results declare them; None where they do not, or say "unknown"."""
    names = results.model.get("training_data")
    if not isinstance(names, list) or any(_plain(name) in ("", "unknown") for name in names):
        return None
    return tuple(dict.fromkeys(names))


def datasets_of(training_data: Iterable[str]) -> tuple[str, ...]:
    """The datasets of declared names, in our spelling, sorted, each once.

    >>> datasets_of(["FreiHAND/train", "rhd-subset/train", "mine"])
    ('freihand', 'mine', 'rhd')
    """
    return tuple(sorted({_ours(_taken_apart(name)[0]) for name in training_data}))


def contamination(training_data: tuple[str, ...] | None, dataset: str, split: str) -> Contamination:
    """Compare training data with the images of a test.

    Parameters
    ----------
    training_data
        As :func:`declared`; ``()`` says that the model was trained on nothing.
    dataset, split
        What it was tested on.

    Returns
    -------
    The gravest mark of all training sets, with its reason.
    """
    if training_data is None:
        return Contamination(Overlap.UNKNOWN, "training data are not declared")
    if not training_data:
        return Contamination(Overlap.NONE, "declared as trained on no data")
    marks = [_compare(name, dataset, split) for name in training_data]
    # The names decide between equals, so that their order does not.
    gravest = min(marks, key=lambda mark: (_GRAVITY.index(mark.overlap), mark.sentence))
    if gravest.overlap is Overlap.NONE:
        names = ", ".join(training_data)
        return Contamination(
            Overlap.NONE, f"no overlap of {names} with {dataset}/{split} is known to handbench"
        )
    return gravest


_GRAVITY = (Overlap.SAME, Overlap.POSSIBLE, Overlap.UNKNOWN, Overlap.NONE)


def _compare(name: str, dataset: str, split: str) -> Contamination:
    trained, trained_split = _taken_apart(name)
    tested = _plain(_without_subset(dataset))
    if _plain(trained) == tested:
        return _same_dataset(name, trained_split, dataset, split)
    if tested and tested in (_plain(word) for word in re.split(r"[^\w.]+|_", trained)):
        return _possible(f"{name} seems to hold {dataset}, and does not say which split")
    reason = _known_overlap(trained, dataset)
    if reason:
        return _possible(f"{name} may share images with {dataset}/{split}: {reason}")
    if _plain(trained) in _MIXED or _MIXED & set(re.split(r"[^a-z]+", trained.casefold())):
        return _possible(f"{name} does not say which datasets it holds")
    return Contamination(Overlap.NONE, "")


def _same_dataset(name: str, trained_split: str, dataset: str, split: str) -> Contamination:
    """Compare splits of one dataset."""
    if not trained_split:
        return _possible(f"{name} is declared without a split, and tested on is {dataset}/{split}")
    facts = _manifest(dataset)
    words = [word.strip() for word in re.split(r"[+,&]", trained_split) if word.strip()]
    for word in words:
        if _plain(word) == _plain(split):
            if _elsewhere(facts, word) not in (None, split):
                # COCO-WholeBody's val is our test, and our val is cut from its train.
                return _possible(f"{name} may mean our {split}, or the publisher's")
            return Contamination(Overlap.SAME, f"trained on {name}, tested on {dataset}/{split}")
        if _plain(word) in _WHOLE:
            return Contamination(
                Overlap.SAME, f"trained on all of {name}, tested on {dataset}/{split}"
            )
    known = {"train", "val", "test"} | ({_plain(s) for s in facts.splits} if facts else set())
    for word in words:
        native = _elsewhere(facts, word)
        if native == split and _plain(word) != _plain(split):
            if word in ("train", "val", "test"):
                return _possible(
                    f"{name} may mean the publisher's {word}, which is {dataset}/{split}"
                )
            return Contamination(
                Overlap.SAME, f"trained on {name}, which is {dataset}/{split} here"
            )
        if native == "train" and split == "val" and _plain(word) not in known:
            return _possible(f"{dataset}/val is cut from the publisher's {word}")
        if native is None and _plain(word) not in known:
            return _possible(f"{name} names a split of {dataset} that handbench does not know")
    if _plain(split) not in known:
        return _possible(f"handbench does not know how {dataset}/{split} relates to {name}")
    return Contamination(Overlap.NONE, "")


def _known_overlap(trained: str, dataset: str) -> str:
    """What the manifests of both datasets say of one another."""
    for one, other in ((dataset, trained), (trained, dataset)):
        facts = _manifest(one)
        if facts is None:
            continue
        for named in facts.known_overlap:
            if _plain(named) == _plain(_without_subset(other)):
                return f"{facts.title} is known to overlap {named}"
    return ""


def _elsewhere(facts: Manifest | None, word: str) -> str | None:
    """Our split that the publisher calls `word`; None where the publisher has none."""
    if facts is None:
        return None
    for ours, split in facts.splits.items():
        if _plain(split.native) == _plain(word):
            return ours
    return None


def _possible(sentence: str) -> Contamination:
    return Contamination(Overlap.POSSIBLE, sentence)


def _taken_apart(name: str) -> tuple[str, str]:
    dataset, _, split = name.strip().partition("/")
    return _without_subset(dataset.strip()), split.strip()


def _without_subset(dataset: str) -> str:
    """Images of a subset are images of the dataset."""
    return re.sub("-subset$", "", dataset, flags=re.IGNORECASE)


def _plain(name: str) -> str:
    """A name without case and punctuation: ``InterHand2.6M`` is ``interhand26m``."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _ours(dataset: str) -> str:
    """The name that handbench has for a dataset; as declared where it has none."""
    return _names().get(_plain(dataset), dataset)


def _manifest(dataset: str) -> Manifest | None:
    name = _names().get(_plain(_without_subset(dataset)))
    if name is None:
        return None
    try:
        return manifest.load(name)
    except HandbenchError:
        return None


@functools.cache
def _names() -> dict[str, str]:
    return {_plain(name): name for name in manifest.names()}
