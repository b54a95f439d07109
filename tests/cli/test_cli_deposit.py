from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from generators.scored import make_predictions, make_truth
from generators.truth_file import write_truth

from handbench.cli import cli
from handbench.predictions.read import read_predictions
from handbench.predictions.write import write_predictions


def deposit(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["deposit", *map(str, arguments)])


def predictions(path: Path, *, large: bool = False, meshes: bool = False) -> Path:
    made = make_predictions(make_truth(12), 3.0)
    columns = {name: array.copy() for name, array in made.columns().items() if name != "id"}
    if large:
        columns["keypoints"] *= 30
    if meshes:
        columns["vertices"] = columns["keypoints_3d"]
    write_predictions(type(made)(**{**made.__dict__, **columns}), path)
    return path


def test_several_files_into_a_folder(tmp_path: Path):
    one, other = predictions(tmp_path / "a.json"), predictions(tmp_path / "b.json.gz")
    result = deposit(one, other, "-o", tmp_path / "deposits")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"wrote {tmp_path / 'deposits' / 'a.npz'}: 12 hands, ")
    assert " px and 0.0" in lines[0]
    assert (tmp_path / "deposits" / "b.npz").is_file()
    before, after = read_predictions(one), read_predictions(tmp_path / "deposits" / "a.npz")
    assert before.keypoints is not None
    assert after.keypoints is not None
    assert np.linalg.norm(after.keypoints - before.keypoints, axis=2).max() < 0.05


def test_one_file_under_a_name_of_its_own(tmp_path: Path):
    one = predictions(tmp_path / "a.json")
    assert deposit(one, "-o", tmp_path / "x.npz").exit_code == 0
    assert (tmp_path / "x.npz").is_file()
    several = deposit(one, one, "-o", tmp_path / "y.npz")
    assert several.exit_code == 2
    assert "need a folder" in several.output


def test_what_is_left_out_or_stays_large_is_said(tmp_path: Path):
    one = predictions(tmp_path / "a.json", large=True, meshes=True)
    result = deposit(one, "-o", tmp_path / "d")
    assert "note: keypoints stayed in single precision" in result.stderr
    assert "note: vertices are left out; --vertices keeps them" in result.stderr
    again = deposit(one, "-o", tmp_path / "d", "--overwrite", "--vertices")
    assert "left out" not in again.stderr
    assert read_predictions(tmp_path / "d" / "a.npz").vertices is not None


def test_nothing_is_lost_by_writing(tmp_path: Path):
    own = predictions(tmp_path / "a.npz")
    content = own.read_bytes()
    result = deposit(own, "-o", tmp_path, "--overwrite")
    assert "would replace the predictions themselves" in str(result.exception)
    assert own.read_bytes() == content
    there = predictions(tmp_path / "b.json")
    assert deposit(there, "-o", tmp_path / "d").exit_code == 0
    result = deposit(there, "-o", tmp_path / "d")
    assert result.exit_code == 1
    assert "exists already" in str(result.exception)
    twin = predictions(tmp_path / "e" / "b.json")
    result = deposit(there, twin, "-o", tmp_path / "f")
    assert "one by one" in str(result.exception)
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("with_data", [True, False])
def test_files_without_a_header_need_the_data(tmp_path: Path, with_data: bool):
    truth = make_truth(12)
    assert truth.keypoints_3d is not None
    path = tmp_path / "pred.json"
    path.write_text(json.dumps([(truth.keypoints_3d * [1, -1, -1]).tolist(), []]))
    arguments: list[object] = [path, "-o", tmp_path / "d", "--assume", "axes=opengl"]
    with write_truth(tmp_path / "hands.h5", truth) as data:
        result = deposit(*arguments, *(["--data", data.path] if with_data else []))
    if not with_data:
        assert "add --data FILE.h5" in str(result.exception)
        return
    assert result.exit_code == 0, result.output
    after = read_predictions(tmp_path / "d" / "pred.npz")
    assert after.keypoints_3d is not None
    np.testing.assert_allclose(after.keypoints_3d, truth.keypoints_3d, atol=5e-5)
