"""Pickles of strangers: honest ones are read as they are, others end in one sentence."""

from __future__ import annotations

import builtins
import collections
import os
import pickle
import pickletools
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handbench.errors import HandbenchError, PredictionsError
from handbench.pickles import load_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
DTYPES = ("?", "i1", "u2", "i8", "f2", "f4", "f8", ">f4")


def load(data: bytes) -> Any:
    return load_pickle(data, "a dump", "dump.pkl", PredictionsError)


# --- honest files --------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_come_back(protocol: int) -> None:
    shared = ["x"]
    value = {
        "list": [1, -(2**70), 2.5, None, True, "ü", b"\x00\xff", bytearray(b"ab")],
        "tuple": ((), (1, 2, 3, 4)),
        "ordered": OrderedDict(a=1),
        3: [shared, shared],
    }
    read = load(pickle.dumps(value, protocol=protocol))
    assert read == value
    assert read[3][0] is read[3][1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_come_back(protocol: int, dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    for given in (array, np.asfortranarray(array), array[:0], array[0, 0, 0:1].reshape(())):
        read = load(pickle.dumps([given, given], protocol=protocol))
        np.testing.assert_array_equal(read[0], given)
        assert read[0].dtype.newbyteorder("=") == given.dtype.newbyteorder("=")
        assert read[0].shape == given.shape
        assert not read[0].flags.writeable
    number = load(pickle.dumps(array[1, 2, 3], protocol=protocol))
    assert number == array[1, 2, 3]
    assert isinstance(number, bool | int | float)


def test_the_modules_of_both_numpy_generations() -> None:
    text = pickle.dumps(np.arange(3.0), protocol=2)
    for package in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        named = re.sub(rb"numpy\._?core\.multiarray", package, text)
        np.testing.assert_array_equal(load(named), np.arange(3.0))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_tensors_become_arrays(protocol: int) -> None:
    torch = pytest.importorskip("torch")
    whole = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    kinds = ("float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")
    tensors = {
        "whole": whole,
        "view": whole[1, :, 1:3],
        "turned": whole.transpose(0, 2),
        "empty": whole[:0],
        "number": whole[1, 1, 1],
        **{kind: whole.to(getattr(torch, kind)) for kind in kinds},
    }
    read = load(pickle.dumps(tensors, protocol=protocol))
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read[name], tensor.numpy(), err_msg=name)
        assert read[name].dtype == tensor.numpy().dtype


def test_what_no_array_can_hold_is_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(PredictionsError, match=r"never built from a file|unknown layout"):
        load(pickle.dumps(torch.ones(3, dtype=torch.bfloat16)))


# --- files that would act -------------------------------------------------------------------------


class _Calls:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("value", "name"),
    [
        (_Calls(os.system, "echo gone"), r"(posix|nt)\.system"),
        (_Calls(eval, "1 + 1"), r"(builtins|__builtin__)\.eval"),
        (_Calls(builtins.getattr, "text", "upper"), r"\.getattr"),
        (_Calls(__import__, "os"), r"\.__import__"),
        (_Calls(Path.touch, Path("gone")), "pathlib|getattr"),
        (collections.Counter("ab"), r"collections\.Counter"),
        (np.array([{}, None], dtype=object), "an array of dtype 'O8'"),
        (np.zeros(2, dtype=[("a", "f4")]), "an array of dtype 'V4'"),
        (np.array(["text"]), "an array of dtype 'U4'"),
        (np.datetime64("2020-01-01"), "an array of dtype 'M8'"),
        (np.random.default_rng(0), "never built"),
    ],
)
def test_other_names_end_the_reading(value: Any, name: str, protocol: int) -> None:
    data = pickle.dumps([1, value], protocol=protocol)
    with pytest.raises(
        PredictionsError, match=f"plain values and arrays, found .*{name}"
    ) as caught:
        load(data)
    message = str(caught.value)
    assert message.startswith("dump.pkl: expected a dump of plain values and arrays, found")
    assert "\n" not in message


def test_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match="which is never built from a file"):
        load(pickle.dumps(_Calls(os.mkdir, str(tmp_path / "made"))))
    assert list(tmp_path.iterdir()) == []


def test_the_class_of_the_error_is_the_callers() -> None:
    with pytest.raises(HandbenchError, match=r"^here: expected labels, found a pickle that breaks"):
        load_pickle(b"\x80\x04", "labels", "here")


# --- files that claim what they do not hold -------------------------------------------------------


def array_with(shape: tuple[int, ...], raw: bytes, code: str = "f8") -> bytes:
    return pickle.dumps(
        _Calls(_frombuffer(), bytearray(raw), np.dtype(code), shape, "C"),
        protocol=5,
    )


def _frombuffer() -> Any:
    return pickle.loads(  # noqa: S301 - our own pickle, to reach NumPy's private function
        b"cnumpy." + (b"_core" if hasattr(np, "_core") else b"core") + b".numeric\n_frombuffer\n."
    )


@pytest.mark.parametrize("shape", [(2**40,), (3,), (2**33, 2**33), (0, 2)])
def test_an_array_of_another_size_than_its_bytes(shape: tuple[int, ...]) -> None:
    with pytest.raises(PredictionsError, match=r"found an array of shape .* with 16 bytes"):
        load(array_with(shape, bytes(16)))


@pytest.mark.parametrize("shape", [(-1,), "ab", (1.5,), (True,)])
def test_an_array_with_a_damaged_shape(shape: Any) -> None:
    with pytest.raises(PredictionsError, match="found an array with a damaged shape"):
        load(array_with(shape, bytes(8)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"\x80\x04",
        b"\x80\x05\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04B\xff\xff\xff\x7fab.",  # bytes of 2 GiB
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fab.",  # bytes of 8 EiB
        b"\x80\x04Nr\xff\xff\xff\x7f.",  # a memo of 2 G entries
        b"Np99999999999\n.",
        b"(((((.",
        b"\x80\x04]e.",
        b"\x80\x09N.",
        b"I1_000_000_0x\n.",
        b"Pouter\n.",
        b"\x80\x02U\x03abcQ.",
        b"\x82\x01.",
    ],
)
def test_damaged_pickles_end_in_one_sentence(data: bytes) -> None:
    with pytest.raises(PredictionsError, match=r"^dump.pkl: expected a dump") as caught:
        load(data)
    assert "\n" not in str(caught.value)


def test_every_cut_is_noticed() -> None:
    torch = pytest.importorskip("torch")
    value = {"a": [1.5, "text"], "b": np.arange(4.0), "c": torch.ones(2)}
    for protocol in (0, 2, 5):
        data = pickle.dumps(value, protocol=protocol)
        for length in range(0, len(data), 7):
            with pytest.raises(PredictionsError, match="expected a dump"):
                load(data[:length])


def test_bytes_cannot_be_made_many_times_from_one_text() -> None:
    text = "x" * 10_000
    call = pickle.dumps(_Calls(_codecs_encode(), text, "latin1"), protocol=2)
    assert load(call) == text.encode()
    # The text stands once in the file and is encoded a hundred times.
    many = pickle.dumps([_Calls(_codecs_encode(), text, "latin1") for _ in range(100)], protocol=2)
    assert len(many) < 2 * len(text)
    with pytest.raises(PredictionsError, match="found more bytes than the file holds"):
        load(many)


def _codecs_encode() -> Any:
    import _codecs

    return _codecs.encode


def test_deep_nesting_is_no_crash() -> None:
    depth = 100_000
    data = b"\x80\x04" + b"]" * depth + b"a" * (depth - 1) + b"."
    value = load(data)
    while value:
        value = value[0]
    assert value == []


def test_the_walk_over_opcodes_knows_all_of_them() -> None:
    from handbench.pickles import _ARGUMENTS

    assert sum(kind is not None for kind in _ARGUMENTS) == len(pickletools.opcodes)
