"""What every report holds its models against: the mean pose of the very hands that were scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handbench.hdf5.reader import HandFile
from handbench.reports.ranking import presets
from handbench.scores.floor_scores import score_mean_pose
from handbench.scores.results import Evaluation
from handbench.scores.truth import Truth, read_truth


def truths(evaluations: Sequence[Evaluation], data: HandFile) -> list[Truth | None]:
    """The labels of the hands that each model was scored on, in its rows.

    None where the file does not label these hands: then it is not the file that was scored.
    """
    split = evaluations[0].results[0].split
    if split not in data:
        return [None] * len(evaluations)
    truth = read_truth(data, split)
    row_of = {name: row for row, name in enumerate(truth.sample_id.tolist())}
    # Models of one page mostly share their hands, and then what is made of them.
    made: dict[bytes, Truth | None] = {}
    found = []
    for evaluation in evaluations:
        ids = evaluation.errors.sample_id
        key = "\n".join(ids.tolist()).encode()
        if key not in made:
            rows = [row_of.get(name, -1) for name in ids.tolist()]
            known = len(rows) > 0 and min(rows) >= 0
            made[key] = truth.rows(np.array(rows, dtype=np.intp)) if known else None
        found.append(made[key])
    return found


def floors(
    evaluations: Sequence[Evaluation], truths: Sequence[Truth | None]
) -> list[Evaluation | None]:
    """The mean pose scored as each model was, on the same hands under the same protocols.

    Parameters
    ----------
    evaluations
        Models.
    truths
        Of :func:`truths`; models with the same object share a floor.

    Returns
    -------
    None where the file does not hold the hands, or no protocol is known.
    """
    made: dict[tuple[int, tuple[str, ...]], Evaluation] = {}
    found: list[Evaluation | None] = []
    for evaluation, truth in zip(evaluations, truths, strict=True):
        protocols = presets(evaluation)
        if truth is None or not protocols:
            found.append(None)
            continue
        key = (id(truth), tuple(protocol.tag + protocol.summary for protocol in protocols))
        if key not in made:
            made[key] = score_mean_pose(truth, protocols)
        found.append(made[key])
    return found
