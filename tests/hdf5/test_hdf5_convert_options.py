"""Options of a conversion: kinds of crops, choice of rows, splits of our own."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generators.crowd import CAMERA, MIRROR, Crowd, write_crowd
from scipy.spatial.transform import Rotation

from handbench import images
from handbench.camera import project, transform_points
from handbench.errors import HandbenchError, SourceError
from handbench.hdf5.convert import Conversion, ConvertSettings, convert
from handbench.hdf5.reader import HandFile
from handbench.hdf5.verify import verify
from handbench.samples.grouping import Cut
from handbench.samples.selection import Selection
from handbench.scores.truth import read_truth

KINDS: dict[str, dict[str, Any]] = {
    "affine": {},
    "mirrored": {"mirror_left": True},
    "perspective": {"perspective": True},
    "both": {"perspective": True, "mirror_left": True},
}


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Crowd:
    return write_crowd(tmp_path_factory.mktemp("crowd"), photos=8)


def done(crowd: Crowd, out: Path, **settings: Any) -> Conversion:
    return convert(crowd.source(), out, ConvertSettings(**{"size": 96, **settings}))


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def stored(crowd: Crowd, kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stored") / f"{kind}.h5"
    extras = frozenset({"mask"})
    return done(crowd, out, extras=extras, padding=1.2, **KINDS[kind]).path


# -- kinds of crops ----------------------------------------------------------------------------


def test_verify_finds_nothing_wrong(stored: Path):
    result = verify(stored, deep=True)
    assert [check for check in result.checks if check.passed is False] == []
    names = {check.name for check in result.checks if check.passed}
    assert {"reprojection", "side", "chain order"} <= names


def test_everything_in_a_row_describes_the_stored_image(stored: Path, crowd: Crowd, kind: str):
    with HandFile(stored) as file:
        test = file["test"]
        crop, points = test.column("crop"), test.column("keypoints_2d")
        assert np.abs(transform_points(crop, crowd.uv) - points).max() < 1e-9
        seen = project(test.column("keypoints_3d"), test.column("camera"))
        assert np.abs(seen - points).max() < 1e-3
        left = crowd.table.is_right == 0
        flipped = left if "mirror_left" in KINDS[kind] else np.zeros_like(left)
        assert np.array_equal(test.column("mirrored"), flipped)
        assert np.array_equal(test.column("is_right"), crowd.table.is_right)
        # Every dot of the picture lies on its keypoint, and the mask on both.
        for row in range(len(test)):
            image, mask = test.image(row).astype(int), test.mask(row)
            for x, y in points[row].round().astype(int):
                if 0 <= x < 96 and 0 <= y < 96:
                    assert image[y, x, 0] - image[y, x, 2] > 80
                    assert mask[y, x] == 255


def test_the_source_comes_back(stored: Path, crowd: Crowd):
    with HandFile(stored) as file:
        test = file["test"]
        assert np.abs(test.source_keypoints_2d() - crowd.uv).max() < 1e-8
        assert np.abs(test.source_bbox() - crowd.table.bbox).max() < 1e-8
        truth = read_truth(file, "test", vertices=True)
    assert truth.keypoints_3d is not None and truth.vertices is not None
    assert np.abs(truth.keypoints_3d - crowd.xyz).max() < 1e-7
    assert np.abs(truth.vertices - crowd.table.extra["vertices"]).max() < 1e-6
    assert np.abs(truth.bbox - crowd.table.bbox).max() < 1e-8


def test_the_truth_does_not_depend_on_the_crop(stored: Path, crowd: Crowd, tmp_path: Path):
    plain = done(crowd, tmp_path / "a.h5", size=64, padding=2.0).path
    with HandFile(stored) as one, HandFile(plain) as other:
        assert one["test"].truth_sha256 == other["test"].truth_sha256


def test_scores_do_not_depend_on_the_crop(stored: Path, crowd: Crowd, tmp_path: Path):
    import handbench

    rng = np.random.default_rng(1)
    predictions = {
        "handbench_predictions": 1,
        "dataset": "crowd",
        "split": "test",
        "model": {"name": "noisy"},
        "predictions": [
            {
                "id": name,
                "keypoints": (uv + rng.normal(0, 3, uv.shape)).tolist(),
                "keypoints_3d": (xyz + rng.normal(0, 0.01, xyz.shape)).tolist(),
            }
            for name, uv, xyz in zip(crowd.table.sample_id, crowd.uv, crowd.xyz)
        ],
    }
    path = tmp_path / "preds.json"
    path.write_text(json.dumps(predictions))
    plain = done(crowd, tmp_path / "a.h5").path
    values, signatures = [], []
    for data in (plain, stored):
        results = handbench.evaluate(path, data).results
        signatures.append([found.signature for found in results])
        values.append(
            {name: number.value for found in results for name, number in found.metrics.items()}
        )
    assert signatures[0] == signatures[1]
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    assert any("PA-MPJPE" in name for name in values[0])
    assert any("PCK" in name for name in values[0])


def test_a_perspective_crop_looks_straight_at_the_hand(crowd: Crowd, tmp_path: Path):
    path = done(crowd, tmp_path / "a.h5", perspective=True).path
    with HandFile(path) as file:
        test = file["test"]
        assert test.attributes("crop")["kind"] == "perspective"
        turned = test.column("crop_rotation")
        assert np.abs(turned @ turned.transpose(0, 2, 1) - np.eye(3)).max() < 1e-12
        assert np.linalg.det(turned) == pytest.approx(1)
        # The ray of the box centre is the optical axis, in the middle of the image.
        middle = crowd.table.bbox[:, :2] + crowd.table.bbox[:, 2:] / 2
        rays = np.linalg.inv(CAMERA) @ np.append(middle, np.ones((len(middle), 1)), axis=1).T
        axis = np.einsum("nij,jn->ni", turned, rays)
        assert np.abs(axis[:, :2]).max() < 1e-12
        assert (axis[:, 2] > 0).all()
        # crop = camera · rotation · source camera⁻¹
        product = test.column("camera") @ turned @ np.linalg.inv(CAMERA)
        assert np.abs(product - test.column("crop")).max() < 1e-9


def test_mano_follows_the_camera_and_is_left_out_of_mirrored_rows(
    stored: Path, crowd: Crowd, kind: str
):
    extra, left = crowd.table.extra, crowd.table.is_right == 0
    with HandFile(stored) as file:
        test = file["test"]
        pose, shape = test.column("mano_pose"), test.column("mano_shape")
        position, palm = test.column("mano_trans"), test.column("palm_3d")
        xyz = test.column("keypoints_3d")
        rotation = np.tile(np.eye(3), (len(test), 1, 1))
        if test.has("crop_rotation"):
            rotation = test.column("crop_rotation")
    lost = left if "mirror_left" in KINDS[kind] else np.zeros_like(left)
    for values in (pose, shape, position):
        assert np.isnan(values[lost]).all()
        assert np.isfinite(values[~lost]).all()
    assert np.abs(position - xyz[:, 9])[~lost].max() < 1e-6
    assert np.abs(palm - xyz[:, 9]).max() < 1e-6
    assert np.array_equal(shape[~lost], extra["mano_shape"][~lost])
    assert np.array_equal(pose[~lost, 3:], extra["mano_pose"][~lost, 3:])
    whole = Rotation.from_rotvec(extra["mano_pose"][:, :3]).as_matrix()
    found = Rotation.from_rotvec(pose[~lost, :3]).as_matrix()
    assert np.abs(found - (rotation @ whole)[~lost]).max() < 1e-6


def test_what_could_not_come_along_is_said(crowd: Crowd, tmp_path: Path):
    source = crowd.source(attributes={})
    source._tables["test"].is_right[0] = -1
    settings = ConvertSettings(perspective=True, mirror_left=True, size=64)
    try:
        convert(source, tmp_path / "a.h5", settings)
    finally:
        source._tables["test"].is_right[0] = 1
    notes = "\n".join(source.notes)
    assert "--mirror-left: 1 hands of unknown side were left as they are" in notes
    assert "the MANO parameters of 8 mirrored hands are stored as NaN" in notes
    assert "mano_trans of 16 hands is stored as NaN" in notes
    with HandFile(tmp_path / "a.h5") as file:
        assert np.isnan(file["test"].column("mano_trans")).all()


def test_lens_distortion_is_refused(crowd: Crowd, tmp_path: Path):
    crowd.table.extra["distortion"] = np.full((len(crowd.table), 5), 0.1)
    try:
        done(crowd, tmp_path / "a.h5")  # an affine crop leaves the coefficients valid
        for settings in ({"perspective": True}, {"mirror_left": True}):
            with pytest.raises(SourceError, match=r"images with lens distortion, such as that of"):
                done(crowd, tmp_path / "b.h5", **settings)
    finally:
        del crowd.table.extra["distortion"]


def test_a_perspective_crop_needs_intrinsics(crowd: Crowd, tmp_path: Path):
    source = crowd.source()
    source._tables["test"] = source._tables["test"].take(slice(0, 4))
    source._tables["test"].camera = None
    settings = ConvertSettings(perspective=True)
    with pytest.raises(SourceError, match="expected intrinsics for a perspective crop, found none"):
        convert(source, tmp_path / "a.h5", settings)


def test_mirrored_rows_are_the_mirror_image(crowd: Crowd, tmp_path: Path):
    for perspective in (False, True):
        plain = done(crowd, tmp_path / "a.h5", perspective=perspective, raw_images=True).path
        out = tmp_path / "b.h5"
        settings = {"perspective": perspective, "mirror_left": True, "raw_images": True}
        flipped = done(crowd, out, **settings).path
        with HandFile(plain) as a, HandFile(flipped) as b:
            for row in range(len(a["test"])):
                image = a["test"].image(row)
                expected = image[:, ::-1] if b["test"].column("mirrored")[row] else image
                assert np.array_equal(b["test"].image(row), expected)
            xyz = a["test"].column("keypoints_3d")
            mirrored = np.where(b["test"].column("mirrored")[:, None, None], xyz @ MIRROR, xyz)
            assert np.abs(b["test"].column("keypoints_3d") - mirrored).max() < 1e-7
        plain.unlink()
        flipped.unlink()


@pytest.mark.parametrize("fault", ["rotation", "mirrored", "camera"])
def test_verify_sees_a_wrong_frame(crowd: Crowd, tmp_path: Path, fault: str):
    import h5py

    path = done(crowd, tmp_path / "a.h5", **KINDS["both"]).path
    with h5py.File(path, "r+") as file:
        test = file["test"]
        if fault == "rotation":  # 3D left in the source camera
            test["keypoints_3d"][...] = crowd.xyz
        elif fault == "mirrored":
            test["mirrored"][...] = False
            test["is_right"][...] = 0
        else:
            test["camera"][...] = CAMERA
    failed = {check.name for check in verify(path).checks if check.passed is False}
    assert failed & {"reprojection", "side"}


# -- one decode a photo, threads ----------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_each_photo_is_decoded_once(
    crowd: Crowd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
):
    from handbench.samples import shaping
    from handbench.sources import table

    # Blocks of three rows part the two hands of a photo.
    monkeypatch.setattr(table, "_BLOCK_ROWS", 3)
    decoded: list[str] = []

    def counting(data: bytes, where: str) -> Any:
        decoded.append(where)
        return images.decode_picture(data, where)

    monkeypatch.setattr(shaping, "decode_picture", counting)
    done(crowd, tmp_path / "a.h5", workers=workers)
    assert len(decoded) == 8


@pytest.mark.parametrize("kind", list(KINDS))
def test_threads_change_nothing(crowd: Crowd, tmp_path: Path, kind: str):
    files = [
        done(crowd, tmp_path / f"{workers}.h5", workers=workers, **KINDS[kind]).path
        for workers in (1, 3)
    ]
    with HandFile(files[0]) as one, HandFile(files[1]) as other:
        for name in one["test"].names:
            a, b = one["test"].column(name), other["test"].column(name)
            assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), name
        for row in range(len(one["test"])):
            assert one["test"].image_bytes(row) == other["test"].image_bytes(row)


# -- choice of rows -----------------------------------------------------------------------------


def test_cameras_and_other_ids_can_be_chosen(crowd: Crowd, tmp_path: Path):
    chosen = {"camera_id": frozenset("a"), "subject_id": frozenset({"p0", "p2"})}
    result = done(crowd, tmp_path / "a.h5", selection=Selection(chosen))
    with HandFile(result.path) as file:
        assert set(file["test"].column("camera_id")) == {"a"}
        assert set(file["test"].column("subject_id")) == {"p0", "p2"}
        dropped = file.attributes["dropped"]
    assert dropped == {"camera_id not chosen": 8, "subject_id not chosen": 2}
    assert result.dropped == dropped
    assert result.rows == {"test": 6}


def test_an_id_that_does_not_occur(crowd: Crowd, tmp_path: Path):
    chosen = Selection({"camera_id": frozenset("az")})
    with pytest.raises(SourceError, match="expected rows with camera_id 'z', found a, b"):
        done(crowd, tmp_path / "a.h5", selection=chosen)
    with pytest.raises(SourceError, match="expected instant_id for every row, to choose by it"):
        done(crowd, tmp_path / "a.h5", selection=Selection({"instant_id": frozenset("a")}))
    assert list(tmp_path.iterdir()) == []


def test_hands_with_few_labels_can_be_left_out(tmp_path: Path):
    crowd = write_crowd(tmp_path / "data", photos=2)
    crowd.table.visibility[1, :6] = 0
    crowd.table.keypoints_2d[1, :6] = np.nan
    assert crowd.table.keypoints_3d is not None
    crowd.table.keypoints_3d[1, :4] = np.nan
    for least, rows in ((17, 4), (18, 3)):
        result = done(crowd, tmp_path / f"{least}.h5", selection=Selection(min_valid=least))
        assert result.rows == {"test": rows}
    assert result.dropped == {"fewer than 18 labelled joints": 1}


@pytest.mark.parametrize(
    ("box", "reason", "sentence"),
    [
        ([10, 10, 0, 5], "box without an area", r"box with an area for 001/left, .*"),
        (
            [400, 20, 50, 50],
            "hand outside its image",
            r"hand 001/left in its image of 320×240 px, found its box x, y, w, h = "
            r"\[400\.0, 20\.0, 50\.0, 50\.0\] wholly outside, so that the crop would be black",
        ),
        ([5, 5, 1e5, 1e5], "crop far larger than its image", r"crop of 001/left would be 125,000"),
    ],
)
@pytest.mark.parametrize("perspective", [False, True])
def test_a_hand_that_cannot_be_cut_stops_or_is_left_out(
    tmp_path: Path, box: list[float], reason: str, sentence: str, perspective: bool
):
    crowd = write_crowd(tmp_path / "data", photos=3)
    crowd.table.bbox[3] = box
    with pytest.raises(SourceError, match=sentence + r".*leave such rows out with --skip-bad"):
        done(crowd, tmp_path / "a.h5", perspective=perspective)
    assert not (tmp_path / "a.h5").exists()
    skipping = Selection(skip_bad=True)
    result = done(crowd, tmp_path / "a.h5", perspective=perspective, selection=skipping)
    assert result.rows == {"test": 5}
    assert result.dropped == {reason: 1}
    assert len(result.bad) == 1 and "001/left" in result.bad[0]
    assert verify(result.path).dropped == {reason: 1}
    assert verify(result.path, deep=True).passed


def test_views_that_no_camera_has(tmp_path: Path):
    crowd = write_crowd(tmp_path / "data", photos=3)
    assert crowd.table.camera is not None
    crowd.table.camera[1, :2, :2] = np.diag([3.0, 3.0])  # 89° from the axis at 160 px
    crowd.table.camera[4] = np.nan
    with pytest.raises(SourceError, match="expected intrinsics of 002/right for a perspective"):
        done(crowd, tmp_path / "a.h5", perspective=True)
    result = done(crowd, tmp_path / "a.h5", perspective=True, selection=Selection(skip_bad=True))
    assert result.dropped == {"no intrinsics": 1, "crop beyond the view of a camera": 1}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("raw", [False, True])
def test_an_image_that_decodes_badly_is_left_out(tmp_path: Path, workers: int, raw: bool):
    crowd = write_crowd(tmp_path / "data", photos=3)
    path = crowd.folder / "001.png"
    data = bytearray(path.read_bytes())
    data[60:120] = bytes(60)  # header and end marker are fine
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match="expected a whole image at 001/right"):
        done(crowd, tmp_path / "a.h5", workers=workers)
    result = done(
        crowd,
        tmp_path / "a.h5",
        workers=workers,
        raw_images=raw,
        extras=frozenset({"mask"}),
        selection=Selection(skip_bad=True),
    )
    assert result.rows == {"test": 4}
    assert result.dropped == {"image that cannot be read": 2}
    with HandFile(result.path) as file:
        assert file["test"].column("sample_id").tolist() == [
            "000/right", "000/left", "002/right", "002/left",
        ]  # fmt: skip
        assert np.abs(file["test"].source_keypoints_2d() - crowd.uv[[0, 1, 4, 5]]).max() < 1e-8
        whole = done(write_crowd(tmp_path / "whole", photos=3), tmp_path / "b.h5")
        with HandFile(whole.path) as other:
            assert file["test"].truth_sha256 != other["test"].truth_sha256
    assert verify(result.path, deep=True).passed


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "another size"])
def test_an_image_that_cannot_be_read_is_left_out(tmp_path: Path, damage: str):
    crowd = write_crowd(tmp_path / "data", photos=3)
    crowd.table.image_size = np.tile(np.array([240, 320], dtype=np.int32), (6, 1))
    path = crowd.folder / "001.png"
    if damage == "missing":
        path.unlink()
    elif damage == "another size":
        path.write_bytes(images.encode_jpeg(np.zeros((40, 40, 3), np.uint8)))
    else:
        path.write_bytes(path.read_bytes()[: 300 if damage == "truncated" else 0])
    with pytest.raises(SourceError, match=r"001\.png"):
        done(crowd, tmp_path / "a.h5")
    result = done(crowd, tmp_path / "a.h5", selection=Selection(skip_bad=True))
    assert result.rows == {"test": 4}
    assert result.dropped == {"image that cannot be read": 2}
    assert "001/right" in result.bad[0] and "001/left" in result.bad[1]
    assert verify(result.path, deep=True).passed


def test_freihand_images_that_cannot_be_read_are_left_out(tmp_path: Path):
    from generators.freihand import write_freihand

    from handbench.sources import freihand, manifest

    fake = write_freihand(tmp_path / "data", instants=(1, 2, 1), evaluation=2, versions=2)
    image = fake.folder / "training" / "rgb" / "00000005.jpg"
    image.write_bytes(image.read_bytes()[:700])
    source = freihand.open_source(fake.folder, manifest.load("freihand"))
    with pytest.raises(SourceError, match=r"00000005\.jpg"):
        convert(source, tmp_path / "a.h5")
    for settings in ({}, {"cut": Cut("instant_id", (0.5, 0, 0.5))}):
        result = convert(
            source,
            tmp_path / "a.h5",
            ConvertSettings(selection=Selection(skip_bad=True), **settings),
            overwrite=True,
        )
        assert sum(result.rows.values()) == 9
        assert result.dropped == {"image that cannot be read": 1}
        assert "training/00000005" in result.bad[0]


def test_nothing_left(crowd: Crowd, tmp_path: Path):
    never = Selection(min_valid=21, chosen={"subject_id": frozenset({"p0"})})
    assert done(crowd, tmp_path / "a.h5", selection=never).rows == {"test": 6}
    crowd.table.visibility[:, 0], valid = 0, crowd.table.visibility[:, 0].copy()
    assert crowd.table.keypoints_3d is not None
    xyz = crowd.table.keypoints_3d.copy()
    crowd.table.keypoints_3d[:, 0] = np.nan
    try:
        with pytest.raises(SourceError, match=r"none to convert \(left out: 16 × fewer than 21"):
            done(crowd, tmp_path / "b.h5", selection=Selection(min_valid=21))
    finally:
        crowd.table.visibility[:, 0], crowd.table.keypoints_3d[...] = valid, xyz


# -- splits of our own ---------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["subject_id", "sequence_id"])
def test_no_unit_stands_in_two_splits(tmp_path: Path, column: str):
    crowd = write_crowd(tmp_path / "data", photos=60)
    photo = np.arange(120) // 2
    crowd.table.ids["subject_id"] = [f"p{p % 30}" for p in photo]
    crowd.table.ids["sequence_id"] = [f"s{p // 2}" for p in photo]
    cut = Cut(column, (0.5, 0.3, 0.2), seed=3)
    result = done(crowd, tmp_path / "a.h5", cut=cut, size=32)
    assert sum(result.rows.values()) == 120
    assert set(result.rows) == {"train", "val", "test"}
    with HandFile(result.path) as file:
        units = {split: set(file[split].column(column).tolist()) for split in file.splits}
        for one, other in itertools.combinations(units.values(), 2):
            assert not one & other
        assert {split: len(names) for split, names in units.items()} == result.units
        said = json.loads(file.attributes["split_by"])
        assert said["column"] == column
        assert said["ratios"] == {"train": 0.5, "val": 0.3, "test": 0.2}
        assert said["seed"] == 3
        assert said["units"] == result.units
        assert file["val"].split_unit == column
    count = len(set().union(*units.values()))
    assert [result.units[s] for s in ("train", "val", "test")] == [
        round(count * share) for share in (0.5, 0.3, 0.2)
    ]
    assert verify(result.path).passed


def test_verify_sees_a_unit_in_two_splits(tmp_path: Path):
    import h5py

    crowd = write_crowd(tmp_path / "data", photos=12)
    cut = Cut("subject_id", (0.5, 0, 0.5), seed=1)
    path = done(crowd, tmp_path / "a.h5", cut=cut, size=32).path
    assert verify(path).passed
    with h5py.File(path, "r+") as file:
        file["test/subject_id"][0] = file["train/subject_id"][0]
    failed = [check for check in verify(path).checks if check.passed is False]
    assert [check.name for check in failed] == ["splits apart"]
    assert "subject_id" in failed[0].detail


def test_the_cut_is_the_same_every_time(crowd: Crowd, tmp_path: Path):
    cut = Cut("sequence_id", (0.5, 0, 0.5), seed=2)
    whole = done(crowd, tmp_path / "a.h5", cut=cut, size=32)
    again = done(crowd, tmp_path / "b.h5", cut=cut, size=48, workers=2)
    other = done(crowd, tmp_path / "c.h5", cut=Cut("sequence_id", (0.5, 0, 0.5), 3), size=32)
    assert whole.units == {"train": 2, "test": 2}
    with HandFile(whole.path) as a, HandFile(again.path) as b, HandFile(other.path) as c:
        for split in a.splits:
            assert np.array_equal(a[split].column("sample_id"), b[split].column("sample_id"))
            assert a[split].truth_sha256 == b[split].truth_sha256
            assert a[split].truth_sha256 != c[split].truth_sha256


def test_columns_to_split_by_must_be_there(crowd: Crowd, tmp_path: Path):
    with pytest.raises(
        SourceError, match="expected instant_id for every row to split by it, found only the col"
    ):
        done(crowd, tmp_path / "a.h5", cut=Cut("instant_id"))
    assert list(tmp_path.iterdir()) == []


def test_a_row_without_its_unit(tmp_path: Path):
    crowd = write_crowd(tmp_path / "data", photos=3)
    crowd.table.ids["subject_id"][3] = ""
    with pytest.raises(SourceError, match=r"expected subject_id .* found none for 001/left"):
        done(crowd, tmp_path / "a.h5", cut=Cut("subject_id"))


def test_a_photo_of_two_people_is_not_torn_apart(tmp_path: Path):
    crowd = write_crowd(tmp_path / "data", photos=9)
    crowd.table.ids["subject_id"] = [f"p{row}" for row in range(18)]
    with pytest.raises(SourceError, match=r"the photo 0\d\d shows hands of p\d+ and p\d+, which"):
        done(crowd, tmp_path / "a.h5", cut=Cut("subject_id", (0.5, 0, 0.5)))


def test_too_few_units_are_found_out_before_anything_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from handbench.samples import shaping

    crowd = write_crowd(tmp_path / "data", photos=2)
    monkeypatch.setattr(shaping, "decode_picture", None)
    with pytest.raises(
        SourceError, match=r"expected 3 different values of subject_id or more .* found 2: choose"
    ):
        done(crowd, tmp_path / "a.h5", cut=Cut("subject_id"))


def test_a_changed_dataset_has_another_name(tmp_path: Path):
    from generators.freihand import write_freihand

    from handbench.sources import freihand, manifest

    fake = write_freihand(tmp_path / "data", instants=(1, 1, 1), evaluation=3, versions=1)
    source = freihand.open_source(fake.folder, manifest.load("freihand"))
    source.name = "freihand"  # as if it were complete
    settings = {
        "freihand": [{}, {"perspective": True}, {"selection": Selection(skip_bad=True)}],
        "freihand-subset": [
            {"selection": Selection(min_valid=1)},
            {"cut": Cut("instant_id", (0.5, 0, 0.5))},
        ],
    }
    for name, cases in settings.items():
        for case in cases:
            result = convert(
                source, tmp_path / "a.h5", ConvertSettings(size=32, **case), overwrite=True
            )
            assert result.dataset == name
            with HandFile(result.path) as file:
                assert file.dataset == name
    image = fake.folder / "evaluation" / "rgb" / "00000001.jpg"
    data = image.read_bytes()
    image.write_bytes(data[:2] + b"\xff\xc0\x00\x11\x08\x00\xe0\x00\xe0" + data[-400:])
    skipping = ConvertSettings(size=32, selection=Selection(skip_bad=True))
    result = convert(source, tmp_path / "a.h5", skipping, overwrite=True)
    assert result.dataset == "freihand-subset"
    assert result.rows["test"] == 2


def test_own_splits_come_from_the_splits_of_the_source(crowd: Crowd, tmp_path: Path):
    with pytest.raises(HandbenchError, match="has no split 'val'; it has test"):
        done(crowd, tmp_path / "a.h5", splits=("val",), cut=Cut("sequence_id"))
