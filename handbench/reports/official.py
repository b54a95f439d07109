"""``scores.txt`` as the evaluation scripts of FreiHAND and HO-3D write it.

Their ``eval.py`` prints one ``key: value`` a line, lengths in cm, six digits after the point
(lmb-freiburg/freihand and shreyashampali/ho3d, ``eval.py``, "Dump results"). A server or a notebook
that reads these files reads ours.

What a script writes where a model has no such thing: -1 for the AUC and -100 cm for the mean of
meshes of another topology than MANO's. The scripts stop where a hand is missing, and have no word
for joints that are not in camera space; there ours says ``nan``.
"""

from __future__ import annotations

from collections.abc import Sequence

from handbench.errors import ScoreError
from handbench.scores.results import Results

_GRID = "AUC@0-50mm"
_RAW = (
    ("xyz_mean3d", "MPJPE[mm,cam,avg=joint]"),
    ("xyz_auc3d", f"{_GRID}[cam,n=100]"),
)
_ALIGNED = ("MPJPE[mm,pa-reflect,avg=joint]", f"{_GRID}[pa-reflect,n=100]")
_MESHES = (
    ("mesh_mean3d", "MPVPE[mm,cam]"),
    ("mesh_auc3d", f"{_GRID}[mesh,cam,n=100]"),
    ("mesh_al_mean3d", "MPVPE[mm,pa-reflect]"),
    ("mesh_al_auc3d", f"{_GRID}[mesh,pa-reflect,n=100]"),
    ("f_score_5", "F@5mm[cam]"),
    ("f_al_score_5", "F@5mm[pa-reflect]"),
    ("f_score_15", "F@15mm[cam]"),
    ("f_al_score_15", "F@15mm[pa-reflect]"),
)
LINES: dict[str, tuple[tuple[str, str], ...]] = {
    "freihand": (
        *_RAW,
        ("xyz_al_mean3d", _ALIGNED[0]),
        ("xyz_al_auc3d", _ALIGNED[1]),
        *_MESHES,
    ),
    "ho3d": (
        *_RAW,
        ("xyz_procrustes_al_mean3d", _ALIGNED[0]),
        ("xyz_procrustes_al_auc3d", _ALIGNED[1]),
        ("xyz_scale_trans_al_mean3d", "MPJPE[mm,root=0,bone=0-9,avg=joint]"),
        ("xyz_scale_trans_al_auc3d", f"{_GRID}[root=0,bone=0-9,n=100]"),
        *_MESHES,
    ),
}
"""Protocol → key and metric of every line, in the order of the script."""

_MM_IN_CM = 10.0


def scores_txt(results: Results) -> str:
    """The file that the official script would write for these results.

    Raises
    ------
    ScoreError
        If they are under another protocol, or lack a metric of it.
    """
    lines = LINES.get(results.protocol)
    if lines is None:
        raise ScoreError(
            f"expected results under the protocol {' or '.join(LINES)}, found "
            f"{results.protocol!r}: evaluate with --protocol freihand (or ho3d)"
        )
    missing = [name for _, name in lines if name not in results.metrics]
    if missing:
        raise ScoreError(
            f"results under {results.protocol} lack {', '.join(missing)}: evaluate again with "
            f"--protocol {results.protocol}"
        )
    return "\n".join(f"{key}: {_number(results, name):f}" for key, name in lines)


def remarks(results: Results) -> list[str]:
    """What a reader of :func:`scores_txt` has to know; nothing of another protocol's results."""
    if results.protocol not in LINES:
        return []
    found = []
    counts = results.samples
    if counts["predicted"] < counts["expected"]:
        found.append(
            f"{counts['missing']:,} of {counts['expected']:,} hands are missing; the official "
            "script stops there: means are over the hands found, AUC and F count the others as "
            "wrong"
        )
    empty = [key for key, name in LINES[results.protocol] if results.metrics[name].value is None]
    if empty:
        found.append(
            f"no value of {', '.join(empty)}: nan, or -1 (-100 cm) as the script writes for meshes "
            "that are not MANO's"
        )
    return found


def official(named: Sequence[tuple[str, Results]]) -> str:
    """``scores.txt`` of one model; of several, each under a line ``# NAME``.

    Raises
    ------
    ScoreError
        If none of the results is under a protocol with such a file.
    """
    there = [(label, results) for label, results in named if results.protocol in LINES]
    if not there:
        scores_txt(named[0][1])
    if len(there) == 1:
        return scores_txt(there[0][1])
    return "\n\n".join(f"# {label}\n{scores_txt(results)}" for label, results in there)


def _number(results: Results, name: str) -> float:
    entry = results.metrics[name]
    if entry.value is not None:
        return entry.value / _MM_IN_CM if entry.unit == "mm" else entry.value
    if name.startswith("MPVPE"):
        return -100.0
    return -1.0 if "mesh" in name else float("nan")
