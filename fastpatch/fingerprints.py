"""What tells one function or object from another of the same name: so that a run goes on with what it began with.

A pickle names functions and classes. Here those of a user are taken apart instead: the code, with defaults, captured
variables and the globals that it reads. So an edited function is another one, whatever it is called.
"""

import copyreg
import dis
import hashlib
import io
import pickle
import sys
import uuid
from collections.abc import Iterator
from functools import cached_property
from types import CellType, CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["fingerprint"]

# Objects that can be told apart by nothing but being this very object.
_TOKENS: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def fingerprint(value: Any) -> str:
    """A digest of ``value`` and all that it is made of: attributes, and the code of functions and classes.

    Functions and classes of this package, the standard library and installed packages go by their names. What a
    `cached_property` keeps is left out. What cannot be pickled is identified within this process only.
    """
    stream = io.BytesIO()
    try:
        _Pickler(stream, protocol=5).dump(value)
    except Exception:  # whatever attributes raise that cannot be pickled
        return _token(value)
    return hashlib.sha256(stream.getvalue()).hexdigest()


def _token(value: Any) -> str:
    fresh = uuid.uuid4().hex
    try:
        return f"this process alone: {_TOKENS.setdefault(value, fresh)}"
    except TypeError:  # it has no hash or no weak references
        return f"this call alone: {fresh}"


class _Part:
    """Stands in a pickle for what would be named there, or could not be pickled, with its parts as the state."""


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        parts = _parts(value)
        if parts is not None:
            # As a state, which follows the object: so parts may lead back to it.
            return _Part, (), parts
        if isinstance(value, type | FunctionType) or type(value) in copyreg.dispatch_table:
            return NotImplemented
        try:
            reduced = value.__reduce_ex__(5)
        except Exception:
            return _Part, (), _token(value)
        if isinstance(reduced, tuple) and len(reduced) > 2 and isinstance(reduced[2], dict):
            return (*reduced[:2], _without_caches(type(value), reduced[2]), *reduced[3:])
        return reduced


def _without_caches(kind: type, state: dict[str, Any]) -> dict[str, Any] | None:
    caches = {name for base in kind.__mro__ for name, found in vars(base).items() if isinstance(found, cached_property)}
    return {name: found for name, found in state.items() if name not in caches} or None


def _parts(value: Any) -> Any:
    """What a function, a class, or what wraps one, is made of; None for all that a pickle holds as it should."""
    if isinstance(value, FunctionType):
        return None if _is_installed(value) else _function_parts(value)
    if isinstance(value, type):
        return None if _is_installed(value) else _class_parts(value)
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, CellType):
        try:
            return (value.cell_contents,)
        except ValueError:
            return "empty"
    if (torch := sys.modules.get("torch")) is not None and isinstance(value, torch.Tensor):
        # What torch pickles of it holds addresses.
        numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        return str(value.dtype), tuple(value.shape), hashlib.sha256(numbers).hexdigest()
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel
    if isinstance(value, cached_property):
        return value.func
    if isinstance(value, staticmethod | classmethod):
        return value.__func__
    # Of Numba and `functools.cache`, which go by name, or by what differs from process to process.
    wrapped = getattr(value, "py_func", getattr(value, "__wrapped__", None))
    return wrapped if isinstance(wrapped, FunctionType) and not _is_installed(wrapped) else None


def _is_installed(value: FunctionType | type) -> bool:
    """Whether a function or class goes by its name: one of a package, whose version is its user's to keep."""
    name = value.__module__ or ""
    if "<" in value.__qualname__ or name == "__main__":
        return False
    package = name.partition(".")[0]
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return package in {"fastpatch", *sys.stdlib_module_names} or "site-packages" in file or "dist-packages" in file


def _function_parts(function: FunctionType) -> tuple[Any, ...]:
    code = function.__code__
    names = sorted(set(_global_names(code)) & function.__globals__.keys())
    read = [(name, function.__globals__[name]) for name in names]
    return _code_digest(code), function.__defaults__, function.__kwdefaults__, function.__closure__, read


def _class_parts(kind: type) -> tuple[Any, ...]:
    kept = {
        name: member
        for name, member in vars(kind).items()
        if isinstance(member, FunctionType)
        or not (name.startswith(("__", "_abc_")) or isinstance(member, GetSetDescriptorType | MemberDescriptorType))
    }
    return kind.__qualname__, kind.__bases__, kept


def _global_names(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _code_digest(code: CodeType) -> str:
    """Of what runs, not of where it stands in which file."""
    parts = (
        code.co_code, code.co_exceptiontable, code.co_flags, code.co_argcount, code.co_posonlyargcount,
        code.co_kwonlyargcount, code.co_varnames, code.co_names, code.co_freevars, code.co_cellvars,
        [_constant(constant) for constant in code.co_consts],
    )  # fmt: skip
    return hashlib.sha256(repr(parts).encode(errors="surrogatepass")).hexdigest()


def _constant(value: object) -> object:
    if isinstance(value, CodeType):
        return _code_digest(value)
    if isinstance(value, tuple):
        return tuple(map(_constant, value))
    # In an order that does not depend on the process.
    return sorted(map(repr, value)) if isinstance(value, frozenset) else value
