"""Released EDM2 snapshots, pickles of whole modules, read without executing or importing anything of theirs.

The averaged network in a snapshot is a tree of persistent modules, each a call with one argument: the class's name,
its source text and the module's state. Source text is skipped. What is kept of a module are its tensors and what it
recorded of its own construction.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import Any

from numpy.typing import NDArray

from .pickle_reader import Budget, Record, RefusedError, Vocabulary, read_pickle, shown
from .stored_tensors import TensorReader, called

__all__ = ["Module", "Snapshot", "parse_snapshot"]

_PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
_MODULE_DICT = "torch.nn.modules.container.ModuleDict"
_PARAMETER = "torch._utils._rebuild_parameter"
_WORDS = Vocabulary(
    frozenset({"STACK_GLOBAL", "REDUCE", "NEWOBJ", "BUILD"}),
    {
        ("dnnlib.util", "EasyDict"): "mapping",
        ("collections", "OrderedDict"): "mapping",
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): "record",
        ("torch.nn.modules.container", "ModuleDict"): "record",
        ("torch._utils", "_rebuild_parameter"): "record",
        ("torch._utils", "_rebuild_tensor_v2"): "record",
        ("torch.storage", "_load_from_bytes"): "record",
    },
)
_VERSION = 6
_CLASSES = ("Precond", "UNet", "Block", "MPConv", "MPFourier")
_PIXELS = "StandardRGBEncoder"
_LONGEST_NAME = 100
_LONGEST_LIST = 16

Plain = None | bool | int | float | str | list[int]


@dataclass(frozen=True)
class Module:
    """What a module recorded of itself: its class, its attributes and its constructor's arguments."""

    kind: str
    attributes: dict[str, Plain]
    positional: list[Plain]
    named: dict[str, Plain]
    offset: int


@dataclass(frozen=True)
class Snapshot:
    """The modules by name, the outermost one's being empty, and their tensors, contiguous and in the stored dtype."""

    modules: dict[str, Module]
    tensors: dict[str, NDArray[Any]]


def parse_snapshot(data: bytes | mmap) -> Snapshot:
    """The network in the bytes of a snapshot; raises `RefusedError`, and nothing else, for any other bytes."""
    budget = Budget()
    content, end = read_pickle(data, 0, len(data), _WORDS, budget)
    if end != len(data):
        raise RefusedError(f"{len(data) - end} bytes follow the pickle", end)
    if not isinstance(content, dict) or not {"encoder", "ema"} <= content.keys():
        raise RefusedError("an object other than a mapping with encoder and ema ends", end)
    encoder, _, offset = _persistent(content["encoder"], end)
    if encoder != _PIXELS:
        raise RefusedError(f"its encoder is {shown(encoder)}, not {_PIXELS},", offset)
    reader = TensorReader(data, budget)
    modules: dict[str, Module] = {}
    tensors: dict[str, NDArray[Any]] = {}
    for name, kind, state, offset in _modules(content["ema"], end):
        if kind is not None:
            modules[name] = _module(kind, state, offset)
        for parameter, value in _entries(state, "_parameters", offset):
            tensor, _, _ = called(value, _PARAMETER, (Record, bool, dict), offset)
            tensors[_joined(name, parameter, offset)] = reader.read(tensor, offset)
        for buffer, value in _entries(state, "_buffers", offset):
            tensors[_joined(name, buffer, offset)] = reader.read(value, offset)
    return Snapshot(modules, tensors)


def _modules(root: Any, offset: int) -> Iterator[tuple[str, str | None, dict[str, Any], int]]:
    """Name, class (None for a `ModuleDict`), state and offset of a module and of all below it, parents first."""
    waiting = [("", root, offset)]
    seen: set[int] = set()
    while waiting:
        name, value, above = waiting.pop()
        kind: str | None = None
        if isinstance(value, Record) and value.target == _MODULE_DICT:
            state, here = value.state or {}, value.offset
        else:
            kind, state, here = _persistent(value, above)
        if id(state) in seen:
            raise RefusedError(f"the state of the module {shown(name)} is another's too", here)
        seen.add(id(state))
        yield name, kind, state, here
        below = _entries(state, "_modules", here)
        waiting += [(_joined(name, child, here), entry, here) for child, entry in reversed(below)]


def _persistent(value: Any, offset: int) -> tuple[str, dict[str, Any], int]:
    """Class name, state and offset of a persistent object."""
    (meta,) = called(value, _PERSISTENT, (dict,), offset)
    kind, state = meta.get("class_name"), meta.get("state")
    known = meta.get("type") == "class" and meta.get("version") == _VERSION
    if not known or not isinstance(kind, str) or not isinstance(state, dict):
        raise RefusedError(f"an object is no class of version {_VERSION} with a name and a state", value.offset)
    return kind, state, value.offset


def _module(kind: str, state: dict[str, Any], offset: int) -> Module:
    if kind not in _CLASSES:
        raise RefusedError(f"a module is {shown(kind)}, none of {', '.join(_CLASSES)},", offset)
    positional, named = state.get("_init_args"), state.get("_init_kwargs")
    if not isinstance(positional, tuple) or not isinstance(named, dict):
        raise RefusedError(f"{kind} has no record of its constructor's arguments", offset)
    if not all(_is_plain(value) for value in (*positional, *named.values())):
        raise RefusedError(f"{kind} records arguments of its constructor that are no plain values", offset)
    attributes = {key: value for key, value in state.items() if not key.startswith("_") and _is_plain(value)}
    return Module(kind, attributes, list(positional), dict(named), offset)


def _entries(state: dict[str, Any], which: str, offset: int) -> list[tuple[str, Any]]:
    entries = state.get(which)
    if not isinstance(entries, dict):
        raise RefusedError(f"a module has no {which}", offset)
    return [(name, value) for name, value in entries.items() if value is not None]


def _joined(parent: str, child: str, offset: int) -> str:
    name = f"{parent}.{child}" if parent else child
    if not child or "." in child or len(name) > _LONGEST_NAME or not name.isprintable():
        raise RefusedError(f"{shown(name)} is no name of a module or tensor", offset)
    return name


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= _LONGEST_LIST and all(type(item) is int for item in value)
    return value is None or isinstance(value, bool | int | float | str)
