from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from handbench import __version__
from handbench.cli import cli
from handbench.cli import doctor as module


def run(*words: str) -> str:
    done = CliRunner().invoke(cli, list(words))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that has numpy and one of the two packages of an extra."""
    asked = ["numpy>=1.26", 'onnx>=1.16; extra == "onnx"', "nowhere-pkg>=1 ; extra == 'onnx'",
             'tensorboard>=2; extra == "track"', 'pytest>=8; extra == "dev"']  # fmt: skip
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: asked)
    versions = {"numpy": "2.1", "onnx": "1.20", "tensorboard": "2.15"}

    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    class About:
        def get_all(self, _: str) -> list[str]:
            return ["dev", "onnx", "track"]

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib.metadata, "metadata", lambda _: About())


def test_it_says_what_a_bug_report_needs(installed: None, tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "a.h5").touch()
    said = run("--home", str(tmp_path), "doctor")
    assert f"handbench {__version__}" in said
    assert "extra     onnx: nowhere-pkg missing: pip install 'handbench[onnx]'" in said
    assert "extra     track: tensorboard 2.15" in said
    assert "dev" not in said.replace("device", "")
    assert "packages  numpy 2.1" in said
    assert "GB free, 1 datasets, 0 runs" in said


def test_it_says_who_chose_the_home(
    installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDBENCH_HOME", str(tmp_path))
    assert f"{tmp_path} (HANDBENCH_HOME)" in run("doctor")
    other = tmp_path / "other"
    assert f"{other} (default or --home)" in run("--home", str(other), "doctor")


def test_json_holds_the_same(installed: None, tmp_path: Path) -> None:
    found = json.loads(run("--home", str(tmp_path / "new"), "doctor", "--json"))
    assert found["home"]["exists"] is False
    assert found["home"]["writable"] is True
    assert found["extras"]["onnx"] == {"onnx": "1.20", "nowhere-pkg": None}
    assert found["machine"]["python"].count(".") == 2
    assert not (tmp_path / "new").exists()  # it looks, and makes nothing


def test_a_torch_that_cannot_be_imported_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == "torch":
            raise OSError("libcudart.so: cannot open shared object file")
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    assert "cannot be imported: OSError: libcudart" in module.machine()["torch"]
