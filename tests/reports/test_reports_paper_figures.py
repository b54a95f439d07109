from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from generators.scored_results import TRUTH, evaluated, results_of
from generators.tiny_hdf5 import write_tiny
from PIL import Image
from scored_models import scored

import handbench.reports
from handbench.errors import HandbenchError
from handbench.hdf5.reader import HandFile
from handbench.reports.paper_figures import COLORS, FILES, PNG_DPI, WIDTHS, write_figures
from handbench.scores.protocols import HANDBENCH
from handbench.scores.results import Results
from handbench.scores.subsets import breakdown


def one_curve(results: Results) -> Results:
    """Drawing takes its time: one curve is like another."""
    return replace(results, curves={"PCK[tight]": results.curves["PCK[tight]"]})


TWO = [("good", one_curve(results_of(2.0))), ("bad", one_curve(results_of(9.0)))]
CURVES = ("pck-tight", "pck-palm", "pck-px", "pck-mm-cam", "pck-mm-root-0", "pck-mm-pa")


def drawn(out: Path, **options: object) -> dict[str, Path]:
    found = write_figures(options.pop("named", TWO), out, **options)  # type: ignore[arg-type]
    return {path.name.removeprefix("sample-test-handbench-"): path for path in found.paths}


def test_one_figure_a_curve_and_of_joints_and_intervals_in_every_format(tmp_path: Path) -> None:
    paths = drawn(tmp_path, named=[("net", results_of(2.0))])
    names = {f"{name}.{ending}" for name in (*CURVES, "joints", "intervals") for ending in FILES}
    assert set(paths) == names
    assert sorted(tmp_path.iterdir()) == sorted(paths.values())


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    one = drawn(tmp_path / "one", kinds=("joints", "intervals"))
    other = drawn(tmp_path / "other", kinds=("joints", "intervals"))
    for name, path in one.items():
        assert path.read_bytes() == other[name].read_bytes(), name


def test_no_date_is_in_the_files(tmp_path: Path) -> None:
    for name, path in drawn(tmp_path, kinds=("intervals",)).items():
        assert not re.search(rb"20\d\d-\d\d-\d\d|CreationDate|dc:date", path.read_bytes()), name


@pytest.mark.parametrize("width", list(WIDTHS))
def test_widths_are_those_of_a_paper(tmp_path: Path, width: str) -> None:
    paths = drawn(tmp_path, kinds=("curves", "joints"), width=width)
    for name in ("pck-tight", "joints"):
        root = ET.fromstring(paths[f"{name}.svg"].read_text("utf-8"))  # noqa: S314
        assert float(root.get("width", "").removesuffix("pt")) == pytest.approx(72 * WIDTHS[width])
        with Image.open(paths[f"{name}.png"]) as picture:
            assert picture.width == pytest.approx(PNG_DPI * WIDTHS[width], abs=1)


def test_fonts_are_inside(tmp_path: Path) -> None:
    paths = drawn(tmp_path, kinds=("intervals",))
    assert b"/FontFile2" in paths["intervals.pdf"].read_bytes()
    svg = paths["intervals.svg"].read_text("utf-8")
    assert "<text" not in svg
    assert "font-family" not in svg


def test_colours_are_those_of_the_report() -> None:
    templates = Path(handbench.reports.__file__).parent / "templates"
    light = (templates / "report.css").read_text("utf-8").partition("@media")[0]
    assert tuple(re.findall(r"--s\d: (#[0-9a-f]{6})", light)) == COLORS


def test_other_signatures_have_figures_of_their_own(tmp_path: Path) -> None:
    named = [("a", results_of(2.0)), ("b", results_of(2.0, gt_used=()))]
    names = set(drawn(tmp_path, named=named, kinds=("intervals",)))
    assert {n for n in names if n.endswith(".svg")} == {
        *("intervals.svg", "2-intervals.svg"),
    }


def test_names_are_text(tmp_path: Path) -> None:
    names = ["_hidden", "$\\frac{$", "a\nb", "<b>&amp;", "n" * 90, ""]
    paths = drawn(tmp_path, named=[(name, TWO[0][1]) for name in names])
    assert all(path.stat().st_size for path in paths.values())


def test_letters_that_the_font_lacks_are_said(tmp_path: Path) -> None:
    found = write_figures([*TWO, ("手のモデル", TWO[0][1])], tmp_path, kinds=("intervals",))
    assert found.notes == ["figures call '手のモデル' 'model 3': their font lacks its letters"]
    assert write_figures([("Größe α", results_of(4.0))], tmp_path, kinds=("joints",)).notes == []


def test_many_models_have_their_legend_above(tmp_path: Path) -> None:
    many = [(f"a rather long name, number {i}", TWO[0][1]) for i in range(9)]
    few, more = (
        drawn(tmp_path / str(len(named)), named=named, kinds=("curves",))["pck-tight.png"]
        for named in (many[:2], many)
    )
    with Image.open(few) as one, Image.open(more) as other:
        assert other.height > one.height
        assert other.width == one.width


def test_3d_alone_and_missing_hands_are_drawn(tmp_path: Path) -> None:
    spatial = results_of(3.0, keypoints=None, missing=2)
    assert "PCK[tight]" not in spatial.curves
    spatial = replace(spatial, curves={"PCK[mm,pa]": spatial.curves["PCK[mm,pa]"]})
    paths = drawn(tmp_path, named=[("net", spatial)])
    assert "pck-mm-pa.svg" in paths
    assert "joints.svg" in paths


def test_groups_of_hands(tmp_path: Path) -> None:
    with HandFile(write_tiny(tmp_path / "tiny.h5", {"test": 24})) as data:
        models = {"a": scored(data, "a", noise=2.0), "b": scored(data, "b", noise=5.0)}
        groups = {
            name: breakdown(model, data, ["finger", "visibility"], [HANDBENCH])
            for name, model in models.items()
        }
    named = [(name, model.results[0]) for name, model in models.items()]
    found = write_figures(named, tmp_path / "out", kinds=("groups",), breakdowns=groups)
    assert {p.name for p in found.paths} == {f"tiny-test-handbench-by-finger.{e}" for e in FILES}


def test_nothing_to_draw_is_an_error(tmp_path: Path) -> None:
    bare = replace(results_of(3.0), curves={})
    with pytest.raises(HandbenchError, match="nothing to draw: expected curves in the results"):
        write_figures([("a", bare)], tmp_path, kinds=("curves",))


def test_folders_that_are_files_are_errors(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("", "utf-8")
    with pytest.raises(HandbenchError, match="it is no folder"):
        write_figures(TWO, tmp_path / "out", kinds=("intervals",))


def test_the_area_in_the_legend_is_that_of_the_curve() -> None:
    from handbench.reports.paper_figures import _area

    models = dict(TWO)
    assert _area(models, "PCK[tight]") == "AUC@0-0.2[tight,rule=exact]"
    assert _area(models, "PCK[mm,pa]") == "AUC@0-50mm[pa,rule=exact]"
    assert _area(models, "PCK[px]") is None
    (mmpose,) = evaluated(2.0, protocols=("mmpose",), truth=TRUTH).results
    assert _area({"a": mmpose}, "PCK[px,cmp=lt]") == "AUC@0-30px[n=20,rule=left,cmp=lt]"
