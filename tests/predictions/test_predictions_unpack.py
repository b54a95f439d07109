"""Files of strangers: whatever lies under whatever name ends in one sentence."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from generators.tiny_hdf5 import write_tiny

from handbench.errors import HandbenchError, PredictionsError
from handbench.hdf5.reader import HandFile
from handbench.predictions import unpack
from handbench.predictions.read import read_predictions
from handbench.predictions.unpack import SUFFIXES

HEADER = {"handbench_predictions": 1, "dataset": "tiny", "split": "test", "model": {"name": "m"}}
HAND = [[float(x), float(2 * x)] for x in range(21)]


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def zipped(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/") + ".json", text)
    return buffer.getvalue()


@pytest.fixture
def data(tmp_path: Path) -> HandFile:
    return HandFile(write_tiny(tmp_path / "tiny.h5", {"test": 4}))


def refused(path: Path, data: HandFile | None, message: str) -> None:
    with pytest.raises(HandbenchError, match=message) as caught:
        read_predictions(path, data)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    assert len(sentence) < 600 + len(str(path))


def file_of(folder: Path, content: bytes, name: str = "preds.json") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


# --- anything under any name ----------------------------------------------------------------------

RUBBISH = {
    "noise": np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes(),
    "zeros": bytes(1000),
    "text": b"It was a dark and stormy night.\n" * 20,
    "utf-16": json.dumps(HEADER).encode("utf-16"),
    "html": b"<!DOCTYPE html><html><body>404 not found</body></html>",
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", sorted(RUBBISH))
def test_rubbish(tmp_path: Path, data: HandFile, suffix: str, kind: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    refused(file_of(tmp_path, RUBBISH[kind], f"preds{suffix}"), data, "expected .*found")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_empty_files_and_folders(tmp_path: Path, data: HandFile, suffix: str) -> None:
    refused(file_of(tmp_path, b"", f"a{suffix}"), data, "found an empty file: write or copy it")
    refused(file_of(tmp_path, b" \n" * 99, f"b{suffix}"), data, "found an empty file")
    (tmp_path / f"c{suffix}").mkdir()
    refused(tmp_path / f"c{suffix}", data, "found a folder: name the file in it")
    refused(tmp_path / f"d{suffix}", data, "found no such file")


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (pickle.dumps([1]), "a.json", "JSON under the suffix .json, found a pickle: rename it to "),
        (pickle.dumps([1]), "a.npz", "found a pickle: rename it to end in .pkl or .pickle"),
        (gzip.compress(b"{}", mtime=0), "a.json", "found gzip: rename it to end in .json.gz"),
        (b'{"a": 1}', "a.json.gz", "found JSON: rename it to end in .json"),
        (b"  [1, 2]", "a.txt", "expected text under the suffix .txt, found JSON: rename it"),
        (b"[1]", "a.pkl", "found JSON: rename it"),
        (npz(id=np.arange(3)), "a.json", "found a zip archive: rename it to end in .npz or .zip"),
        (b"\x89HDF\r\n\x1a\n....", "a.parquet", "found HDF5: rename it to end in .h5 or .hdf5"),
        (b"PAR1....", "a.h5", "found Parquet: rename it to end in .parquet"),
        (b"\x93NUMPY....", "a.npz", "found a lone NumPy array: write it again"),
    ],
)
def test_files_under_another_name(
    tmp_path: Path, data: HandFile, content: bytes, name: str, message: str
) -> None:
    refused(file_of(tmp_path, content, name), data, message)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes here")
    os.mkfifo(tmp_path / "preds.json")
    refused(tmp_path / "preds.json", None, "no regular file: save the predictions to a file first")


# --- JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [100, 900, 5000, 1_000_000])
@pytest.mark.parametrize(
    "form",
    [
        "{}",
        '{{"handbench_predictions": 1, "dataset": {}}}',
        '{{"handbench_predictions": {}}}',
        '{{"handbench_predictions": 1, "dataset": "d", "split": "s", "model": {{"name": {}}}}}',
        '{{"handbench_predictions": 1, "dataset": "d", "split": "s", "model": {{"name": "m"}}, '
        '"predictions": {}}}',
        '{{"handbench_predictions": 1, "dataset": "d", "split": "s", "model": {{"name": "m"}}, '
        '"predictions": [{{"id": {}}}]}}',
        '{{"handbench_predictions": 1, "dataset": "d", "split": "s", "model": {{"name": "m"}}, '
        '"predictions": [{{"id": "a", "keypoints": {}}}]}}',
        "[{}, []]",
        '[{{"image_id": {}}}]',
        '[{{"image_id": 1, "keypoints": {}}}]',
    ],
)
def test_deep_nesting(tmp_path: Path, data: HandFile, form: str, depth: int) -> None:
    text = form.format("[" * depth + "]" * depth)
    refused(file_of(tmp_path, text.encode()), data, "expected|format")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("NaN", "expected JSON numbers, found NaN: write finite numbers, or null"),
        ("-Infinity", "expected JSON numbers, found Infinity"),
        ('"1.5"', "keypoints"),
        ("null", "keypoints"),
        ("1e300", "holds NaN, infinity or numbers beyond 1e[+]09"),
        ("1e999", "expected"),
        ("{}", "keypoints"),
    ],
)
def test_what_is_no_number(tmp_path: Path, data: HandFile, value: str, message: str) -> None:
    hand = json.dumps(HAND).replace("[7.0,", f"[{value},")
    text = json.dumps({**HEADER, "predictions": [{"id": "a", "keypoints": 0}]})
    refused(
        file_of(tmp_path, text.replace('"keypoints": 0', f'"keypoints": {hand}').encode()),
        None,
        message,
    )
    flat = json.dumps([1.0] * 63).replace("1.0", value, 1)
    listed = f'[{{"image_id": 0, "keypoints": {flat}}}]'
    refused(file_of(tmp_path, listed.encode()), data, message if value != "1e300" else "holds NaN")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_truncated_lists(tmp_path: Path, data: HandFile, share: float) -> None:
    coco = json.dumps([{"image_id": n, "keypoints": [0.0] * 63} for n in range(4)])
    freihand = json.dumps([[[[0.0, 0.0, 0.5]] * 21] * 4, [[[0.0, 0.0, 0.5]] * 50] * 4])
    for text in (coco, freihand):
        path = file_of(tmp_path, text[: int(len(text) * share)].encode())
        refused(path, data, "breaks off in the middle: copy or download it again")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            json.dumps({**HEADER, "predictions": [{"id": "a", "keypoints": 0}]})[:-1],
            "that breaks off",
        ),
        ("[" + " " * 200 + "[1, 2], [3]]", "broken or laid out unusually: write it again, best as"),
        ("[" + " " * 200 + "[1, 2], [3", "that breaks off: write it again"),
    ],
)
def test_large_json_is_not_parsed_as_a_whole(
    tmp_path: Path, data: HandFile, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.setattr("handbench.predictions.documents.MOST_WHOLE_BYTES", 100)
    refused(file_of(tmp_path, text.encode()), data, message)


# --- archives that are larger than they look ------------------------------------------------------


def test_files_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MOST_BYTES", 2**20)
    monkeypatch.setattr(unpack, "_BLOCK", 2**16)
    bomb = " " * (2**20 + 1)
    limit = (
        r"expected at most 0\.000977 GiB of predictions, found 0\.00\d+ GiB or more: write \.npz"
    )
    refused(file_of(tmp_path, bomb.encode(), "a.json"), None, limit)
    refused(file_of(tmp_path, gzip.compress(bomb.encode()), "a.json.gz"), None, limit)
    refused(file_of(tmp_path, zipped(pred=bomb), "a.zip"), None, limit)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, meta=json.dumps(HEADER), keypoints=np.zeros((9000, 21, 2)))
    refused(file_of(tmp_path, buffer.getvalue(), "a.npz"), None, limit)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        # Nothing is stored; the fill value stands for it.
        file.create_dataset("keypoints", shape=(9000, 21, 2), dtype="f8", chunks=(100, 21, 2))
    refused(tmp_path / "a.h5", None, limit)


def test_a_gzip_bomb_is_counted_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MOST_BYTES", 2**20)
    monkeypatch.setattr(gzip, "decompress", lambda raw: pytest.fail("unpacked as a whole"))
    refused(file_of(tmp_path, gzip.compress(bytes(2**22)), "a.json.gz"), None, "expected at most")


def test_an_array_that_claims_more_than_its_archive_holds(tmp_path: Path) -> None:
    small = npz(id=np.zeros(3), meta=np.array("{}"))
    claimed = small.replace(b"'shape': (3,), }         ", b"'shape': (3333333333,), }")
    assert claimed != small
    # The check sum no longer fits either, which is as good a reason.
    refused(file_of(tmp_path, claimed, "a.npz"), None, r"an \.npz archive of plain arrays")


# --- archives ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "expected one pred.json in the zip, found nothing"),
        ({"a": "[]", "b": "[]"}, "found a.json, b.json: unpack it and name the file"),
        ({"x__pred": "[]", "y__pred": "[]"}, "found x/pred.json, y/pred.json"),
        ({"pred": ""}, "found an empty file"),
    ],
)
def test_zips_without_one_list(
    tmp_path: Path, data: HandFile, members: dict[str, str], message: str
) -> None:
    refused(file_of(tmp_path, zipped(**members), "a.zip"), data, message)


def test_zips_with_one_list_among_others(tmp_path: Path, data: HandFile) -> None:
    for members in ({"pred": "[]", "log": "{}"}, {"deep__down__result": "[]"}):
        assert len(read_predictions(file_of(tmp_path, zipped(**members), "a.zip"), data)) == 0
    whole = json.dumps({**HEADER, "predictions": [{"id": "a", "keypoints": HAND}]})
    assert len(read_predictions(file_of(tmp_path, zipped(mine=whole), "a.zip"))) == 1


def test_damaged_archives(tmp_path: Path, data: HandFile) -> None:
    whole = zipped(pred=json.dumps([{"image_id": n, "keypoints": [0.0] * 63} for n in range(4)]))
    flipped = bytearray(whole)
    flipped[60] ^= 255
    for content in (whole[:100], bytes(flipped)):
        refused(file_of(tmp_path, content, "a.zip"), data, "a file that cannot be unpacked")
    text = gzip.compress(b"[]" * 1000)
    refused(file_of(tmp_path, text[:-9], "a.json.gz"), data, "expected gzipped JSON, found a file")


# --- arrays --------------------------------------------------------------------------------------


def test_other_arrays_stand_beside_ours_unread(tmp_path: Path) -> None:
    objects = np.array([{}], dtype=object)
    content = npz(meta=json.dumps(HEADER), id=np.array([b"a"]), keypoints=[HAND], notes=objects)
    assert len(read_predictions(file_of(tmp_path, content, "a.npz"))) == 1
    content = npz(meta=[json.dumps(HEADER)], id=np.array([b"\xff"]), keypoints=[HAND])
    refused(file_of(tmp_path, content, "a.npz"), None, "expected 'id' in UTF-8, found other bytes")
    refused(file_of(tmp_path, npz(x=[1]), "a.npz"), None, "'meta', found the arrays of other names")


def test_hdf5_does_not_lead_to_other_files(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(8 * 42))
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["keypoints"] = np.array([HAND])

    def linked(file: h5py.File) -> None:
        file["keypoints"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/keypoints")

    def external(file: h5py.File) -> None:
        stored = [(str(tmp_path / "secret.bin"), 0, 8 * 42)]
        file.create_dataset("keypoints", (1, 21, 2), "f8", external=stored)

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((1, 21, 2), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "keypoints", (1, 21, 2))
        file.create_virtual_dataset("keypoints", layout)

    def group(file: h5py.File) -> None:
        file.create_group("keypoints")

    for make in (linked, external, virtual, group):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["meta"], file["id"] = json.dumps(HEADER), ["a"]
            make(file)
        refused(tmp_path / "a.h5", None, "'keypoints' to be a dataset with its own numbers")


def test_pickles_are_only_read_where_they_belong(tmp_path: Path, data: HandFile) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    for suffix in SUFFIXES:
        if suffix == ".parquet":
            continue
        path = file_of(tmp_path, pickle.dumps([Bomb()]), f"a{suffix}")
        refused(
            path, data, "never built from a file" if "p" in suffix and "k" in suffix else "found"
        )
    assert not (tmp_path / "exploded").exists()


def test_the_class_is_that_of_predictions(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError):
        read_predictions(file_of(tmp_path, b"", "a.json"))
