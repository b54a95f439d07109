"""Pickles from strangers, read without running anything they hold.

A pickle is a program: ``pickle.load`` calls whatever function the file names. Here every name is
looked up in a closed list, and each name on it leads to a small constructor of our own: arrays and
numbers of NumPy, tensors of PyTorch (which itself is not imported), empty containers, bytes. Any
other name ends the reading.

Memory stays in proportion to the size of the file. Each opcode is looked at before Python's
unpickler sees it, because that one allocates whatever a length or a memo index claims. A file made
for the purpose can still waste time; it cannot act.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from handbench.errors import HandbenchError

Names = Mapping[tuple[str, str], Any]

_PLAIN_NUMBERS = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")

_TORCH_STORAGES = {
    ("torch", "FloatStorage"): "<f4",
    ("torch", "DoubleStorage"): "<f8",
    ("torch", "HalfStorage"): "<f2",
    ("torch", "LongStorage"): "<i8",
    ("torch", "IntStorage"): "<i4",
    ("torch", "ShortStorage"): "<i2",
    ("torch", "CharStorage"): "|i1",
    ("torch", "ByteStorage"): "|u1",
    ("torch", "BoolStorage"): "|b1",
}
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_TORCH_PROTOCOL = 1001


def load_pickle(
    data: bytes, what: str, where: str, error: type[HandbenchError] = HandbenchError
) -> Any:
    """Read the pickle `data` as plain values.

    Parameters
    ----------
    data
        A pickle of any protocol, also of Python 2 (its strings are read as Latin-1).
    what
        What it should hold, for the message: ``"an MMPose test dump"``.
    where
        Names the file in messages.
    error
        Class to raise.

    Returns
    -------
    Lists, tuples, dicts, text, bytes, numbers, None, and read-only arrays of plain numbers: NumPy's
    as they were, PyTorch's tensors as arrays. NumPy scalars become Python numbers.

    Raises
    ------
    HandbenchError
        Of the class `error`: a name that is not on the list, objects in an array, a claim of more
        memory than the file can fill, or a damaged or cut file.

    Examples
    --------
    >>> load_pickle(pickle.dumps({"keypoints": np.zeros((1, 21, 2))}), "a dump", "d.pkl").keys()
    dict_keys(['keypoints'])
    """
    try:
        return _load(data, 0, _names(_Budget(len(data))))[0]
    except _RefusedNameError as refused:
        raise error(
            f"{where}: expected {what} of plain values and arrays, found {refused}, which is "
            "never built from a file: write it again without such objects"
        ) from refused
    except _RefusedClaimError as refused:
        raise error(f"{where}: expected {what}, found {refused}: write or copy it again") from (
            refused
        )
    except Exception as broken:
        # Damaged pickles raise nearly every built-in class.
        reason = " ".join(str(broken).split()) or type(broken).__name__
        raise error(
            f"{where}: expected {what}, found a pickle that cannot be read ({reason:.100}): write "
            "or copy it again"
        ) from broken


class _RefusedNameError(pickle.UnpicklingError):
    """The file names something that is not on the list."""


class _RefusedClaimError(pickle.UnpicklingError):
    """The file claims what it cannot hold."""


def _load(
    data: bytes, start: int, names: Names, persistent: Callable[[Any], Any] | None = None
) -> tuple[Any, int]:
    """The value of the pickle that begins at `start`, and where it ends."""
    end = _check_opcodes(data, start)
    stream = io.BytesIO(data if (start, end) == (0, len(data)) else data[start:end])
    return _Unpickler(stream, names, persistent).load(), end


class _Unpickler(pickle.Unpickler):
    def __init__(
        self, stream: io.BytesIO, names: Names, persistent: Callable[[Any], Any] | None
    ) -> None:
        # What Python 2 wrote as text may be the bytes of an array: Latin-1 keeps every byte.
        super().__init__(stream, encoding="latin1")
        self._names = names
        self._persistent = persistent

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._names:
            raise _RefusedNameError(f"{ascii(f'{module}.{name}')[1:-1]:.100}")
        return self._names[module, name]

    def persistent_load(self, pid: Any) -> Any:
        if self._persistent is None:
            raise _RefusedNameError("a reference to something outside the file")
        return self._persistent(pid)


# --- the closed list -----------------------------------------------------------------------------


class _Maker:
    """A function that a pickle may call but never change: its opcodes can set attributes."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, state: Any) -> NoReturn:
        raise _RefusedClaimError("a pickle that changes a function")


class _Budget:
    """Bytes that may still be made from what the file holds.

    A file can name one long text many times, and each time a copy would be made. An honest file
    needs each part at most twice: as text turned to bytes, and as a tensor within those.
    """

    def __init__(self, file_size: int) -> None:
        self._left = 2 * file_size

    def spend(self, count: int) -> None:
        """Take `count` bytes off, or refuse."""
        self._left -= count
        if self._left < 0:
            raise _RefusedClaimError("more bytes than the file holds")

    def encode(self, text: Any) -> bytes:
        """The bytes that were pickled as Latin-1 text; bytes stay as they are."""
        if isinstance(text, bytes):
            return text
        if not isinstance(text, str):
            raise _RefusedClaimError(f"{type(text).__name__} in the place of bytes")
        self.spend(len(text))
        return text.encode("latin1")


def _names(budget: _Budget) -> Names:
    """(module, name) → what it leads to. NumPy's private modules moved between 1.x and 2.x."""

    def encode(text: Any = "", encoding: Any = "latin1") -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise _RefusedClaimError(f"the encoding {encoding!r}")
        return budget.encode(text)

    def reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
        if kind is not ndarray:
            raise _RefusedClaimError("an array of another kind")
        # Shape and numbers come with the state that follows.
        return _empty(budget)

    ndarray = _Maker(_no_class)  # only ever an argument of `reconstruct`
    numpy: dict[str, dict[str, Any]] = {
        "multiarray": {
            "_reconstruct": _Maker(reconstruct),
            "scalar": _Maker(lambda dtype, raw: _scalar(dtype, budget.encode(raw))),
        },
        "numeric": {"_frombuffer": _Maker(_from_buffer)},
    }
    names: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): ndarray,
        ("numpy", "dtype"): _Maker(_DType),
        ("_codecs", "encode"): _Maker(encode),
        ("collections", "OrderedDict"): _Maker(_empty_dict),
        ("torch", "Size"): _Maker(_size),
        ("torch._utils", "_rebuild_tensor_v2"): _Maker(_tensor),
        ("torch.storage", "_load_from_bytes"): _Maker(lambda raw: _torch_storage(raw, budget)),
    }
    for package in ("numpy.core", "numpy._core"):
        for module, makers in numpy.items():
            names |= {(f"{package}.{module}", name): maker for name, maker in makers.items()}
    for package in ("builtins", "__builtin__"):
        names[package, "bytes"] = _Maker(encode)
        names[package, "bytearray"] = _Maker(encode)
    return names


def _no_class(*arguments: Any) -> NoReturn:
    raise _RefusedClaimError("an array without its numbers")


def _empty_dict() -> dict[Any, Any]:
    return {}


def _size(sizes: Any) -> tuple[int, ...]:
    return _shape(tuple(sizes) if isinstance(sizes, list) else sizes)


# --- NumPy ---------------------------------------------------------------------------------------


class _DType:
    """A dtype of plain numbers. NumPy's own would believe flags that make numbers pointers."""

    __slots__ = ("value",)

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        if not isinstance(code, str) or not _PLAIN_NUMBERS.fullmatch(code):
            raise _RefusedNameError(f"an array of dtype {code!r:.40}")
        self.value: np.dtype[Any] = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, sub-array, field names, fields, size, alignment, flags, …)
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise _RefusedClaimError("a damaged dtype")
        if any(part is not None for part in state[2:5]):
            raise _RefusedNameError("an array with fields")
        self.value = self.value.newbyteorder(state[1])


class _Array(np.ndarray[Any, np.dtype[Any]]):
    """An array as it comes from a pickle: read-only, and its state is checked before it is set."""

    def __setstate__(self, state: Any) -> None:
        budget: _Budget | None = self.__dict__.pop("_budget", None)
        if budget is None or not isinstance(state, tuple) or len(state) not in (4, 5):
            raise _RefusedClaimError("a damaged array")
        shape, dtype, is_fortran, raw = state[-4:]
        sizes, code = _shape(shape), _dtype(dtype)
        content = budget.encode(raw)
        _check_length(content, sizes, code)
        checked: Any = (1, sizes, code, bool(is_fortran), content)
        super().__setstate__(checked)
        # NumPy may share the memory of `content`, which the file can name again.
        self.flags.writeable = False


def _empty(budget: _Budget) -> _Array:
    array = np.ndarray.__new__(_Array, (0,), np.int8)
    array.__dict__["_budget"] = budget
    return array


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    sizes, code = _shape(shape), _dtype(dtype)
    if not isinstance(raw, bytes | bytearray) or order not in ("C", "F"):
        raise _RefusedClaimError("a damaged array")
    _check_length(raw, sizes, code)
    array: _Array = np.frombuffer(raw, code).reshape(sizes, order=order).view(_Array)
    array.flags.writeable = False
    return array


def _scalar(dtype: Any, raw: bytes) -> Any:
    code = _dtype(dtype)
    _check_length(raw, (), code)
    return np.frombuffer(raw, code)[0].item()


def _dtype(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, _DType):
        raise _RefusedClaimError("an array without a dtype")
    return dtype.value


def _shape(shape: Any) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, int) else shape
    if not isinstance(sizes, tuple) or not all(type(n) is int and n >= 0 for n in sizes):
        raise _RefusedClaimError("an array with a damaged shape")
    return sizes


def _check_length(
    raw: bytes | bytearray | memoryview, sizes: tuple[int, ...], dtype: np.dtype[Any]
) -> None:
    if math.prod(sizes) * dtype.itemsize != len(raw):
        raise _RefusedClaimError(
            f"an array of shape {sizes!s:.60} and type {dtype} with {len(raw):,} bytes"
        )


# --- PyTorch -------------------------------------------------------------------------------------


class _Storage:
    """The numbers that tensors share."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: npt.NDArray[Any]) -> None:
        self.numbers = numbers

    def __setstate__(self, state: Any) -> NoReturn:
        raise _RefusedClaimError("a pickle that changes a tensor")


def _tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    metadata: Any = None,
) -> _Array:
    """A tensor as a view of its storage, if it lies inside."""
    if not isinstance(storage, _Storage):
        raise _RefusedClaimError("a tensor without numbers")
    numbers = storage.numbers
    (first,), sizes, steps = _shape(offset), _shape(size), _shape(stride)
    count = math.prod(sizes)
    last = first + sum((n - 1) * step for n, step in zip(sizes, steps))
    # A stride of 0 repeats numbers without end, so the count is checked beside the last place.
    outside = len(sizes) != len(steps) or count > len(numbers)
    if outside or (count and last >= len(numbers)):
        raise _RefusedClaimError(
            f"a tensor of shape {sizes!s:.60} in a storage of {len(numbers):,} numbers"
        )
    view = np.lib.stride_tricks.as_strided(
        numbers[first:],
        sizes,
        [step * numbers.itemsize for step in steps],
        writeable=False,
    )
    array: _Array = view.view(_Array)
    return array


def _torch_storage(raw: Any, budget: _Budget) -> _Storage:
    """A storage as ``torch.save`` wrote it before its zip format, and pickle still does.

    Five pickles (magic number, protocol, facts of the machine, the storage's description, the
    list of its keys), then the count of numbers and the numbers.
    """
    raw = budget.encode(raw)
    budget.spend(len(raw))
    kinds = {_Maker(_no_class): key for key in _TORCH_STORAGES}
    by_name = {key: maker for maker, key in kinds.items()}

    def describe(pid: Any) -> tuple[Any, ...]:
        # ("storage", type, key, device, count) and, since PyTorch 0.2, a view of another storage.
        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
            raise _RefusedClaimError("a damaged tensor")
        if pid[1] not in kinds or pid[5:] not in ((), (None,)):
            raise _RefusedClaimError("a tensor in an unknown layout")
        return np.dtype(_TORCH_STORAGES[kinds[pid[1]]]), pid[2], pid[4]

    magic, end = _load(raw, 0, {})
    protocol, end = _load(raw, end, {})
    machine, end = _load(raw, end, {})
    description, end = _load(raw, end, by_name, describe)
    keys, end = _load(raw, end, {})
    if (magic, protocol) != (_TORCH_MAGIC, _TORCH_PROTOCOL) or not isinstance(description, tuple):
        raise _RefusedClaimError("a tensor in an unknown format")
    dtype, key, count = description
    if keys != [key] or not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise _RefusedClaimError("a tensor in an unknown layout")
    if int.from_bytes(raw[end : end + 8], "little") != count:
        raise _RefusedClaimError("a damaged tensor")
    content = memoryview(raw)[end + 8 :]
    _check_length(content, _shape(count), dtype)
    return _Storage(np.frombuffer(content, dtype))


# --- opcodes -------------------------------------------------------------------------------------

_LINE, _TWO_LINES, _MEMO_LINE, _MEMO_4 = -1, -2, -3, -4
_LENGTH_OF_LENGTH = {
    pickletools.TAKEN_FROM_ARGUMENT1: -11,
    pickletools.TAKEN_FROM_ARGUMENT4: -14,
    pickletools.TAKEN_FROM_ARGUMENT4U: -14,
    pickletools.TAKEN_FROM_ARGUMENT8U: -18,
}
_STOP = ord(".")


def _arguments() -> list[int | None]:
    """What follows each opcode: so many bytes, a line, or a length and so many bytes."""
    kinds: list[int | None] = [None] * 256
    for opcode in pickletools.opcodes:
        argument = opcode.arg
        if argument is None:
            kind = 0
        elif argument.n >= 0:
            kind = argument.n
        elif argument.n == pickletools.UP_TO_NEWLINE:
            kind = _TWO_LINES if argument.name == "stringnl_noescape_pair" else _LINE
        else:
            kind = _LENGTH_OF_LENGTH[argument.n]
        kinds[ord(opcode.code)] = {"PUT": _MEMO_LINE, "LONG_BINPUT": _MEMO_4}.get(opcode.name, kind)
    return kinds


_ARGUMENTS = _arguments()


def _check_opcodes(data: bytes, position: int) -> int:
    """Walk one pickle and return where it ends, without building anything.

    Python's unpickler makes room for what a length claims, and for as many memo entries as the
    largest index says: seven bytes can ask for 64 GB.
    """
    arguments, size, count = _ARGUMENTS, len(data), 0
    while position < size:
        code = data[position]
        kind = arguments[code]
        position += 1
        count += 1
        if kind is None:
            raise _RefusedClaimError(f"no pickle (byte {code} at {position - 1:,})")
        if kind >= 0:
            position += kind
            if code == _STOP:
                return position
        elif kind == _MEMO_4:
            _check_memo(int.from_bytes(data[position : position + 4], "little"), count)
            position += 4
        elif kind <= -11:
            width = -10 - kind
            length = int.from_bytes(data[position : position + width], "little")
            position += width + length
            if position > size:
                break
        else:
            for _ in range(2 if kind == _TWO_LINES else 1):
                start, position = position, data.find(b"\n", position) + 1
                if not position:
                    position = size
            if kind == _MEMO_LINE:
                line = data[start : position - 1]
                _check_memo(int(line) if line.isdigit() and len(line) < 20 else size, count)
    raise _RefusedClaimError("a pickle that breaks off")


def _check_memo(index: int, opcodes: int) -> None:
    if index > opcodes:  # Python counts up by one
        raise _RefusedClaimError(f"a memo of {index:,} entries after {opcodes:,} opcodes")
