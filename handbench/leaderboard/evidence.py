"""What a number rests on: scored again here, reproduced by somebody, or said by its authors.

Deposited predictions with the data they were made on are the strongest; then the stored errors of
every hand, as ``handbench evaluate --out`` writes them; then the word of a named person who ran a
named command. Numbers that were made again are the ones that are shown. Where they differ from what
was submitted, the submitted ones are shown with that problem.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from handbench.errors import HandbenchError
from handbench.leaderboard.agreement import Agreement, compare_results
from handbench.leaderboard.board import Evidence
from handbench.leaderboard.deposits import Asked, Deposits, Scored
from handbench.leaderboard.reading import ResultsFile
from handbench.scores.results import Evaluation, Results
from handbench.scores.scoring import rescore
from handbench.scores.text import signature_differences

_NAMED = 3


@dataclass(frozen=True)
class Judged:
    """Results with what they rest on; fields as in :class:`~handbench.leaderboard.board.Entry`."""

    results: Results
    evidence: Evidence
    sentence: str
    command: str
    problems: tuple[str, ...] = ()
    evaluation: Evaluation | None = None


def judge(files: Sequence[ResultsFile], deposits: Deposits) -> list[Judged]:
    """Find out what the results in each file rest on."""
    beside = [errors_beside(file) for file in files]
    asked: dict[Path, Asked] = {}
    for file, path in zip(files, beside):
        if path is not None:
            asked[path] = asked.get(path, Asked()).and_for(file.results)
    return [
        _judge(file, deposits, path, asked.get(path, Asked()) if path else Asked())
        for file, path in zip(files, beside)
    ]


def _judge(file: ResultsFile, deposits: Deposits, beside: Path | None, asked: Asked) -> Judged:
    results = file.results
    said = _said(results)
    scored = deposits.score(results)
    if isinstance(scored, Scored):
        return _judged(results, scored, said)
    if beside is not None:
        try:
            evaluation = _rescored(beside, asked)
        except HandbenchError as error:
            return replace(said, sentence=f"{said.sentence}; {error}")
        found = Scored(
            evaluation,
            f"computed again here from the stored error of every hand ({beside.name})",
        )
        return _judged(results, found, said)
    return replace(said, sentence=f"{said.sentence}; {scored}") if scored else said


def errors_beside(file: ResultsFile) -> Path | None:
    """The errors that ``evaluate --out`` wrote for `file`; None where there are none.

    ``net.json`` and ``net.mmpose.json`` are both made from ``net.errors.npz``.
    """
    stem = file.path.name[: -len(".json")] if file.path.suffix.lower() == ".json" else ""
    stems = [stem, stem.removesuffix(f".{file.results.protocol}")]
    for name in dict.fromkeys(filter(None, stems)):
        path = file.path.with_name(f"{name}.errors.npz")
        if path.is_file():
            return path
    return None


def _said(results: Results) -> Judged:
    """What the file says of itself."""
    command = results.provenance.get("command")
    known = command if isinstance(command, str) else ""
    reproduced = results.provenance.get("reproduced")
    if isinstance(reproduced, dict):
        by, date = reproduced["by"], reproduced["date"]
        sentence = f"reproduced by {by} on {date}, as the results file says"
        return Judged(results, Evidence.REPRODUCED, sentence, str(reproduced["command"]))
    sentence = "as the results file says; nobody is said to have reproduced it"
    return Judged(results, Evidence.SELF_REPORTED, sentence, known)


def _judged(results: Results, scored: Scored, said: Judged) -> Judged:
    """Results beside what was made of them here."""
    ours = _of_protocol(scored.evaluation, results)
    if ours is None:
        return replace(said, sentence=f"{said.sentence}; handbench knows no {results.protocol}")
    low, high = (_of_protocol(one, results) for one in scored.bounds or (None, None))
    bounds = (low, high) if low is not None and high is not None else None
    agreement = compare_results(results, ours, bounds)
    problems = _problems(results, ours, scored, agreement)
    if problems:
        sentence = f"{scored.sentence}, with another outcome than was submitted"
        return replace(said, evidence=Evidence.SELF_REPORTED, sentence=sentence, problems=problems)
    lacking = ""
    if agreement.lacking:
        names = ", ".join(agreement.lacking[:_NAMED])
        more = len(agreement.lacking) - _NAMED
        names += f" and {more} more" if more > 0 else ""
        lacking = f"; submitted and not to be had from it: {names}"
    shown = replace(
        ours,
        model=results.model,
        provenance={**results.provenance, "rescored": _provenance(ours)},
    )
    return Judged(
        results=shown,
        evidence=Evidence.RESCORED,
        sentence=f"{scored.sentence}: {scored.outcome(agreement.compared)}{lacking}",
        command=said.command,
        evaluation=scored.evaluation,
    )


def _problems(
    results: Results, ours: Results, scored: Scored, agreement: Agreement
) -> tuple[str, ...]:
    if str(ours.model.get("name")) != str(results.model["name"]):
        return (
            f"{scored.sentence}: it is of the model {ours.model.get('name')!r}, and the results "
            f"of {results.model['name']!r}: put the right file beside the results",
        )
    if ours.signature != results.signature:
        try:
            parts = ", ".join(signature_differences([ours.signature, results.signature]))
        except ValueError:
            parts = "its form"
        return (
            f"{scored.sentence}: the signature differs ({parts or 'its parts'}): evaluate again",
        )
    if agreement.different:
        listed = "; ".join(agreement.different[:_NAMED])
        more = len(agreement.different) - _NAMED
        listed += f"; and {more} more" if more > 0 else ""
        return (f"{scored.sentence}: {listed}: evaluate again, or deposit what was evaluated",)
    if not scored.partial and agreement.lacking:
        names = ", ".join(agreement.lacking[:_NAMED])
        return (f"{scored.sentence}: there is no value of {names}: evaluate again",)
    return ()


def _provenance(ours: Results) -> dict[str, Any]:
    """By what it was scored again; not when, so that the same files make the same site."""
    made = ours.provenance.get("rescored", ours.provenance)
    return {key: made[key] for key in ("handbench", "data_sha256") if key in made}


def _of_protocol(evaluation: Evaluation | None, results: Results) -> Results | None:
    of_all = () if evaluation is None else evaluation.results
    return next((one for one in of_all if one.protocol == results.protocol), None)


def _rescored(path: Path, asked: Asked) -> Evaluation:
    state = path.stat()
    return _rescored_file(path, state.st_size, state.st_mtime_ns, asked)


@functools.lru_cache(maxsize=64)
def _rescored_file(path: Path, size: int, modified: int, asked: Asked) -> Evaluation:
    """Numbers from stored errors, made once while a page is rebuilt again and again."""
    return rescore(path, asked.protocols, metrics=asked.metrics)
