from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from generators.coco import FakeCOCO

from handbench.camera import transform_points
from handbench.errors import PredictorError
from handbench.hdf5.reader import HandFile
from handbench.predictors.jitter import BoxJitter
from handbench.predictors.views import RowViews


@pytest.fixture(scope="module")
def photos(fake_coco: FakeCOCO) -> Path:
    return fake_coco.annotations.parent / "images"


@pytest.fixture(scope="module")
def file(fake_coco: FakeCOCO, tmp_path_factory: pytest.TempPathFactory, photos: Path) -> HandFile:
    from click.testing import CliRunner

    from handbench.cli import cli

    out = tmp_path_factory.mktemp("views") / "c.h5"
    words = ["convert", "coco", "--annotations", fake_coco.annotations, "--images-dir", photos]
    done = CliRunner().invoke(cli, [*map(str, words), "--out", str(out), "--size", "64"])
    assert done.exit_code == 0, done.output
    return HandFile(out)


def rows(file: HandFile) -> np.ndarray:
    return np.arange(len(file["test"]))


def test_a_stored_image_is_seen_whole(file: HandFile) -> None:
    views = RowViews(file["test"], rows(file))
    image, box = views.read(2)
    assert box is None
    np.testing.assert_array_equal(image, file["test"].image(2))
    assert views.describe() == {
        "box": "gt_annotation",
        "padding": file["test"].box_padding,
        "image": "stored",
    }
    assert not views.cuts_stored


def test_a_source_image_is_whole_for_those_who_find_hands(file: HandFile, photos: Path) -> None:
    views = RowViews(file["test"], rows(file), source=photos, whole_image=True)
    image, box = views.read(0)
    assert box is None
    assert image.shape[0] != 64
    assert views.describe() == {"box": "image", "padding": 1.0, "image": "source"}
    np.testing.assert_array_equal(views.to_source(0), np.eye(3))


def test_a_source_image_is_cut_for_others_where_the_stored_one_was(
    file: HandFile, photos: Path
) -> None:
    from handbench.predictors.crops import cut

    views = RowViews(file["test"], rows(file), source=photos)
    assert views.describe()["box"] == "gt_annotation"
    assert not views.cuts_stored
    for row in rows(file)[:3]:
        image, box = views.read(row)
        crop, _ = cut(image, box, views.padding, 64)
        assert np.abs(crop.astype(float) - file["test"].image(row)).mean() < 3


def test_moved_boxes_are_cut_out_of_what_there_is(file: HandFile, photos: Path) -> None:
    stored = RowViews(file["test"], rows(file), jitter=BoxJitter(0.2))
    source = RowViews(file["test"], rows(file), jitter=BoxJitter(0.2), source=photos)
    assert stored.cuts_stored
    assert not source.cuts_stored
    for row in rows(file)[:3]:
        corners = stored.read(row)[1].reshape(2, 2)
        back = transform_points(stored.to_source(row), corners)
        np.testing.assert_allclose(back, source.read(row)[1].reshape(2, 2), atol=1e-4)
    assert stored.describe()["jitter"]["mean_iou"] < 1


def test_images_that_are_not_there_or_not_these_are_refused(
    file: HandFile, photos: Path, tmp_path: Path
) -> None:
    from PIL import Image

    with pytest.raises(PredictorError, match=r"expected a folder of published images at .*none"):
        RowViews(file["test"], rows(file), source=tmp_path / "no")
    with pytest.raises(PredictorError, match=r"expected an image for each of \d+ hands below"):
        RowViews(file["test"], rows(file), source=tmp_path)
    rng = np.random.default_rng(0)
    for path in photos.iterdir():
        noise = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{path.stem}.png")
    with pytest.raises(PredictorError, match="does not show what the file stores for"):
        RowViews(file["test"], rows(file), source=tmp_path)
