from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import handbench

PACKAGE = Path(handbench.__file__).parent
HEAVY = {
    "torch", "torchvision", "pandas", "matplotlib", "h5py", "numpy", "scipy", "skimage", "PIL",
    "jsonschema", "jinja2", "click", "tqdm",
}  # fmt: skip


def loaded_after(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after running `code`."""
    report = "import json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded_after("import handbench; dir(handbench)") & HEAVY


def test_help_loads_no_numpy():
    code = """
from handbench.cli import cli
cli(["--help"], standalone_mode=False)
"""
    assert not loaded_after(code) & (HEAVY - {"click"})


@pytest.mark.parametrize(
    "command", ["convert", "verify", "inspect", "datasets", "sample", "evaluate", "predict"]
)
def test_help_of_a_command_loads_no_torch(command: str):
    code = f"""
from handbench.cli import cli
cli(["{command}", "--help"], standalone_mode=False)
"""
    assert not loaded_after(code) & {"torch", "torchvision", "pandas", "matplotlib", "scipy"}


@pytest.mark.parametrize("name", ["open", "metrics", "evaluate"])
def test_public_names_do_not_load_torch(name: str):
    assert not loaded_after(f"import handbench; handbench.{name}") & {"torch", "matplotlib"}


def test_public_names():
    assert set(handbench.__all__) == {
        *("HandDataset", "__version__", "evaluate", "metrics", "open", "results_frame"),
    }
    assert set(dir(handbench)) >= {"HandDataset", "evaluate", "metrics", "open"}
    assert callable(handbench.open)
    assert callable(handbench.evaluate)
    assert issubclass(handbench.HandDataset, __import__("torch").utils.data.Dataset)
    assert callable(handbench.metrics.pck)
    with pytest.raises(AttributeError, match="has no attribute 'evalaute'"):
        handbench.evalaute  # noqa: B018


def test_no_submodule_shares_the_name_of_a_public_function():
    # Importing `handbench.open` as a module would replace the function of that name.
    submodules = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or p.is_dir()}
    assert not submodules & {"open", "evaluate", "HandDataset"}
    import handbench.cli.evaluate
    import handbench.scores.scoring

    assert callable(handbench.evaluate)


def test_errors_are_the_matching_built_ins():
    from handbench import errors

    for name in ("Source", "Manifest", "Format", "Predictions", "Score", "Train"):
        kind = getattr(errors, f"{name}Error")
        assert issubclass(kind, errors.HandbenchError)
        assert issubclass(kind, ValueError)
    missing = errors.MissingExtraError("onnxruntime", "onnx", "this model")
    assert isinstance(missing, ImportError)
    assert str(missing) == (
        "this model needs the package 'onnxruntime', which is not installed: run  pip install "
        "'handbench[onnx]'"
    )


def test_provenance(monkeypatch: pytest.MonkeyPatch):
    from handbench.provenance import provenance

    monkeypatch.setattr(sys, "argv", ["/usr/bin/handbench", "convert", "a b.json"])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert provenance() == {
        "handbench": handbench.__version__,
        "command": "handbench convert 'a b.json'",
        "created": "1970-01-02T00:00:00+00:00",
    }
    monkeypatch.setattr(sys, "argv", ["/x/handbench/__main__.py", "verify"])
    assert provenance()["command"] == "python -m handbench verify"


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from handbench.home import Home

    monkeypatch.setenv("HANDBENCH_HOME", str(tmp_path / "env"))
    assert Home.find().root == tmp_path / "env"
    home = Home.find(tmp_path / "given")
    assert home.raw("x") == tmp_path / "given" / "raw" / "x"
    assert home.dataset("x") == tmp_path / "given" / "datasets" / "x.h5"
    assert (home.runs.name, home.results.name) == ("runs", "results")
    monkeypatch.delenv("HANDBENCH_HOME")
    assert Home.find().root.name == "handbench"
    assert Home.find(Path("~/hands")).root == Path.home() / "hands"
    assert list(tmp_path.iterdir()) == []  # nothing is made before something is written
