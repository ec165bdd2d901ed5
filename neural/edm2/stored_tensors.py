"""Tensors as a snapshot stores them: offset, size and strides, and the bytes of a legacy ``torch.save``.

These bytes are five pickles (a magic number, the protocol, facts about the machine that wrote them, the storage, the
list of its keys), then the number of elements, then the elements. They are read here without torch.
"""

import math
from dataclasses import dataclass
from mmap import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .pickle_reader import Budget, Global, Record, RefusedError, Span, Vocabulary, read_pickle

__all__ = ["TensorReader", "called"]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES: dict[str, np.dtype[Any]] = {"HalfStorage": np.dtype("<f2"), "FloatStorage": np.dtype("<f4")}
_WORDS = Vocabulary(frozenset({"GLOBAL", "BINPERSID"}), {("torch", name): "name" for name in _DTYPES})
_MOST_AXES = 4


@dataclass(frozen=True)
class _Storage:
    """``count`` elements from ``start`` on in the file."""

    dtype: np.dtype[Any]
    start: int
    count: int


def called(value: Any, target: str, kinds: tuple[type, ...], offset: int) -> tuple[Any, ...]:
    """The arguments of a call of ``target`` with arguments of just these types.

    Raises `RefusedError` for any other value, at ``offset`` where it has none of its own.
    """
    if not isinstance(value, Record):
        raise RefusedError(f"{type(value).__name__} stands where a call of {target} belongs", offset)
    if value.target != target or value.state is not None:
        raise RefusedError(f"{value.target} stands where a call of {target} belongs", value.offset)
    found = tuple(type(argument) for argument in value.arguments)
    if found != kinds:
        names = ", ".join(kind.__name__ for kind in found[:8])
        raise RefusedError(f"{target} is called with ({names})", value.offset)
    return value.arguments


class TensorReader:
    """Rebuilds the tensors of one snapshot, whose pickles share the ``budget``."""

    def __init__(self, data: bytes | mmap, budget: Budget) -> None:
        self._data, self._budget = data, budget
        self._taken: set[int] = set()

    def read(self, value: Any, offset: int) -> NDArray[Any]:
        """A contiguous copy, in the stored dtype, of the tensor that ``value`` wants rebuilt.

        Its size and strides must use each element of its storage once, in whatever order of the axes, and no other
        tensor may have the storage: all arrays together take no more memory than their bytes in the file.

        Raises `RefusedError` for everything else, at ``offset`` where ``value`` has none of its own.
        """
        # Storage, offset in it, size, strides, whether it wants gradients, hooks.
        kinds = (Record, int, tuple, tuple, bool, dict)
        source, first, size, strides, _, _ = called(value, "torch._utils._rebuild_tensor_v2", kinds, offset)
        storage = _read_storage(self._data, source, self._budget)
        if storage.start in self._taken:
            raise RefusedError("two tensors share a storage", storage.start)
        self._taken.add(storage.start)
        if first != 0 or not _is_dense(size, strides, storage.count):
            raise RefusedError(
                f"a tensor's offset, size and strides do not fit the {storage.count} elements of its storage",
                value.offset,
            )
        steps = tuple(stride * storage.dtype.itemsize for stride in strides)
        elements: NDArray[Any] = np.ndarray(size, storage.dtype, self._data, storage.start, steps)
        return np.array(elements, dtype=storage.dtype.newbyteorder("="), order="C")


def _is_dense(size: tuple[Any, ...], strides: tuple[Any, ...], count: int) -> bool:
    if len(size) != len(strides) or len(size) > _MOST_AXES:
        return False
    if not all(type(number) is int and number > 0 for number in size + strides) or math.prod(size) != count:
        return False
    below = 1
    for stride, length in sorted((s, n) for s, n in zip(strides, size, strict=True) if n > 1):
        if stride != below:
            return False
        below *= length
    # Strides of axes of length one mean nothing, but have to be numbers that an array can have.
    return all(stride <= count for stride in strides)


def _read_storage(data: bytes | mmap, source: Record, budget: Budget) -> _Storage:
    (span,) = called(source, "torch.storage._load_from_bytes", (Span,), source.offset)
    position = span.start

    def following() -> Any:
        nonlocal position
        value, position = read_pickle(data, position, span.stop, _WORDS, budget)
        return value

    def expect(condition: bool, what: str) -> None:
        if not condition:
            raise RefusedError(f"the bytes of a storage hold another {what}", position)

    expect(following() == _MAGIC, "magic number")
    expect(following() == _PROTOCOL, "protocol")
    machine = following()
    expect(isinstance(machine, dict) and machine.get("little_endian") is True, "byte order")
    (identity,) = called(following(), "persistent id", (tuple,), position)
    kinds = [type(part) for part in identity]
    expect(kinds == [str, Global, str, str, int, type(None)] and identity[0] == "storage", "persistent id")
    _, storage_type, key, _, count, _ = identity
    expect(following() == [key], "list of keys")
    dtype = _DTYPES[storage_type.name]
    left = span.stop - position
    expect(count > 0 and left == 8 + count * dtype.itemsize, "number of bytes than its elements take")
    expect(int.from_bytes(data[position : position + 8], "little") == count, "number of elements than its pickle")
    return _Storage(dtype, position + 8, count)
