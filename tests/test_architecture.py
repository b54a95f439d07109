"""The arrows of docs/architecture.md: no module imports from a stop that lies after its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "handbench"
ROAD = (
    "sources",
    "samples",
    "hdf5",
    "models",
    "predictors",
    "live",
    "predictions",
    "scores",
    "reports",
    "leaderboard",
    "web",
    "cli",
)
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 600
# The door of the package: it names public things lazily and for type checkers only.
DOORS = {PACKAGE / "__init__.py", PACKAGE / "__main__.py"}


def folder_of(module: Path) -> str:
    """The stop a module belongs to; "" for the ground."""
    parts = module.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def imports(module: Path) -> list[tuple[int, str]]:
    """(line, full name) of everything of handbench that a module imports, wherever it stands."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: a relative import"
            # `from handbench import metrics` names a module, not an attribute.
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant):
                    found.append((node.lineno, str(argument.value)))
    return [(line, name) for line, name in found if name.split(".")[0] == "handbench"]


def target_of(name: str) -> str:
    """The stop that an imported name belongs to; "" for the ground."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and (PACKAGE / parts[1]).is_dir() else ""


def test_every_folder_has_its_place():
    folders = {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").exists()}
    assert folders == {*ROAD, "synthetic"}


@pytest.mark.parametrize(
    "module", [m for m in MODULES if m not in DOORS], ids=lambda m: str(m.relative_to(PACKAGE))
)
def test_no_arrow_points_backwards(module: Path):
    here = folder_of(module)
    allowed = {"", here}
    if here in ROAD:
        allowed |= set(ROAD[: ROAD.index(here)])
    if here == "cli":
        allowed.add("synthetic")  # `sample` calls it and prints
    wrong = [
        f"line {line}: {name}" for line, name in imports(module) if target_of(name) not in allowed
    ]
    assert not wrong


def test_the_reader_of_imports_sees_them(tmp_path: Path):
    # If this found nothing, the test above could not fail.
    found = {name for _, name in imports(PACKAGE / "hdf5" / "convert.py")}
    assert "handbench.sources.block.Source" in found
    assert target_of("handbench.sources.block.Source") == "sources"
    assert target_of("handbench.camera.project") == ""


def test_scoring_and_reports_need_no_network():
    # "Evaluating never imports torch": the arrow models → scores exists in no module.
    wrong = [
        f"{module.relative_to(PACKAGE)}:{line} {name}"
        for module in MODULES
        if folder_of(module) in ("scores", "reports", "sources", "samples", "synthetic")
        for line, name in imports(module)
        if target_of(name) == "models"
    ]
    assert not wrong


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_a_module_fits_on_a_few_screens(module: Path):
    assert len(module.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(module: Path):
    assert ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
