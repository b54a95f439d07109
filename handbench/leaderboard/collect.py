"""Results files → a :class:`~handbench.leaderboard.board.Board`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from handbench.hdf5.reader import HandFile
from handbench.leaderboard.board import Board, Entry
from handbench.leaderboard.deposits import Deposits
from handbench.leaderboard.evidence import Judged, judge
from handbench.leaderboard.groups import make_groups, make_models
from handbench.leaderboard.history import with_history
from handbench.leaderboard.matrices import make_matrices
from handbench.leaderboard.published import with_published
from handbench.leaderboard.reading import ResultsFile, read_results
from handbench.leaderboard.slugs import unique_slugs
from handbench.leaderboard.training import contamination, declared
from handbench.scores.hygiene import problems
from handbench.scores.results import Evaluation

_EVALUATIONS = 2**30
_NO_ROOM = (
    "There are more errors of single hands than fit into a gigabyte: models after the first ones, "
    "by file name, have no paired tests and no pictures."
)


def collect(
    paths: Sequence[Path],
    *,
    predictions: Sequence[Path] = (),
    data: Sequence[HandFile] = (),
    rank_self_reported: bool = False,
) -> Board:
    """Gather results into a leaderboard.

    Parameters
    ----------
    paths
        Results files, or folders of them at any depth.
    predictions
        Deposited predictions, or folders of them: what `data` allows is scored again here.
    data
        Converted files that may have been predicted on.
    rank_self_reported
        Rank numbers that were neither re-scored here nor reproduced with a command.

    Returns
    -------
    A board that does not depend on the order of `paths`, nor of the files in them. What cannot be
    read is in its `unreadable`.
    """
    found, unreadable = read_results(paths)
    deposits = Deposits(predictions, data, [file.results for file in found])
    slugs = unique_slugs(_called(file) for file in found)
    kept: dict[int, int] = {}
    entries = []
    for file, slug, judged in zip(found, slugs, judge(found, deposits)):
        if judged.evaluation is not None:
            kept[id(judged.evaluation)] = _size(judged.evaluation)
        fits = sum(kept.values()) <= _EVALUATIONS
        entries.append(_entry(file, slug, judged, keep_evaluation=fits))
    groups = with_published(
        make_groups(with_history(entries), rank_self_reported=rank_self_reported)
    )
    models = make_models(groups)
    pages = {model.name: model.slug for model in models}
    matrices = make_matrices(groups, pages, rank_self_reported=rank_self_reported)
    return Board(
        groups=tuple(groups),
        models=tuple(models),
        matrices=tuple(matrices),
        unreadable=unreadable,
        notes=() if sum(kept.values()) <= _EVALUATIONS else (_NO_ROOM,),
    )


def _called(file: ResultsFile) -> str:
    results = file.results
    return f"{results.model['name']} {results.dataset} {results.split} {results.protocol}"


def _entry(file: ResultsFile, slug: str, judged: Judged, *, keep_evaluation: bool) -> Entry:
    training_data = declared(file.results)
    return Entry(
        results=judged.results,
        file=file.file,
        slug=slug,
        evidence=judged.evidence,
        evidence_sentence=judged.sentence,
        command=judged.command,
        training_data=training_data,
        contamination=contamination(training_data, file.results.dataset, file.results.split),
        problems=(*problems(file.results), *judged.problems),
        evaluation=judged.evaluation if keep_evaluation else None,
    )


def _size(evaluation: Evaluation) -> int:
    """Bytes that an evaluation's arrays take."""
    errors = evaluation.errors
    arrays = [*errors.joints.values(), *errors.hands.values(), *evaluation.primary.values()]
    return sum(array.nbytes for array in arrays) + errors.keypoints_px.nbytes
