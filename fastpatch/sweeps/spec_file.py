"""Reading a spec: every key known, every value of its type, and the line named where one is not."""

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import Field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ..errors import DtypeError, FastpatchError, InvalidInputError, ResultFileError
from ..messages import reason
from ..validation import finite_float, integer, sides
from .point import DRAWN, Parameters
from .spec import MOST_POINTS, Axis, Range, Spec, Value
from .toml_lines import line_of

__all__ = ["READY", "load_spec"]

# Specs that ship with the package and run by name.
READY = ("finite-size", "prior-mass", "quench-rate")

# Bytes of a spec.
_LONGEST = 2**20

# Integers that NumPy holds, so that costs are numbers that floating point holds.
_LARGEST = 2**63 - 1


def load_spec(spec: str | Path | Mapping[str, Any] | Spec) -> Spec:
    """The spec in a TOML file, under the name of a ready one, or in a mapping of the form that `tomllib` gives.

    The path of a dictionary is relative to the spec's file; that in a mapping, to the working directory.

    Raises `ResultFileError` for a file, of a spec or a dictionary, that cannot be read, and `InvalidInputError` or
    `DtypeError`, naming file and line, for what a spec may not hold.
    """
    if isinstance(spec, Spec):
        return spec
    return _Reader("the spec", None, Path()).spec(_builtins(spec)) if isinstance(spec, Mapping) else _read_toml(spec)


def _read_toml(name: str | Path) -> Spec:
    """The spec in the file ``name``, or the ready one of that name."""
    text, source = _text(name)
    try:
        content = tomllib.loads(text)
    # Beside tomllib's own: integers of thousands of digits, and towers of brackets.
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{source} is not TOML: {reason(error)}; expected the spec of a sweep") from None
    return _Reader(source, text, Path(name).parent).spec(content)


def _text(name: str | Path) -> tuple[str, str]:
    """A spec's text, and what to call it."""
    if str(name) in READY:
        return (files(__package__) / "specs" / f"{name}.toml").read_text(encoding="utf-8"), f"the ready spec {name}"
    try:
        with Path(name).open("rb") as file:
            content = file.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            raise ResultFileError(f"{name} is longer than {_LONGEST} bytes; expected the spec of a sweep in TOML")
        return content.decode("utf-8"), str(name)
    except ResultFileError:
        raise
    except UnicodeDecodeError:
        raise ResultFileError(f"{name} is not UTF-8 text; expected the spec of a sweep in TOML") from None
    except OSError as error:
        expected = f"a TOML file, or one of the ready specs {', '.join(READY)}"
        raise ResultFileError(f"{name} cannot be read ({error.strerror}); expected {expected}") from None


class _Reader:
    """Takes a document apart; ``text`` is None for one that has no lines. Paths are relative to ``folder``."""

    def __init__(self, source: str, text: str | None, folder: Path) -> None:
        self._source, self._text, self._folder = source, text, folder
        self._dictionaries: dict[str, Path] = {}

    def spec(self, content: Mapping[str, Any]) -> Spec:
        self._known(content, (*_KEYS, "parameters"), "a key of a spec")
        found: dict[str, Any] = {}
        for name, check in _KEYS.items():
            if name in content:
                with self._at(name):
                    found[name] = check(content[name], name)
        design = found.get("design", "grid")
        if design == "random" and "points" not in found:
            with self._at("design"):
                raise InvalidInputError("design is 'random' and points is absent; expected a number of points")
        if design == "grid" and "points" in found:
            with self._at("points"):
                raise InvalidInputError("points is set for a grid; expected it in a random design only")
        table = content.get("parameters", {})
        if not isinstance(table, Mapping):
            with self._at("parameters"):
                raise DtypeError(f"parameters is {table!r}; expected a table")
        parameters = self._parameters(table, design)
        return Spec(parameters=parameters, source=self._source, dictionaries=self._dictionaries, **found)

    def _parameters(self, table: Mapping[str, Any], design: str) -> dict[str, Axis]:
        known = {field.name: field for field in fields(Parameters)}
        self._known(table, known, "a parameter", "parameters")
        axes: dict[str, Axis] = {**vars(Parameters()), "shape": (Parameters.shape,)}
        for name, value in table.items():
            if name in DRAWN and "dictionary" in table:
                with self._at("parameters", name):
                    raise InvalidInputError(
                        f"{name} is set beside dictionary, which has patterns; expected one of them"
                    )
            if isinstance(value, Mapping):
                axes[name] = self._range(value, known[name], design)
            else:
                with self._at("parameters", name):
                    axes[name] = self._values(value, known[name])
        return axes

    def _values(self, value: Any, field: Field[Any]) -> Axis:
        """One value, or a tuple of several that differ; of shapes always a tuple."""
        read = self._digest if field.name == "dictionary" else _value
        if isinstance(value, list | tuple):
            values = tuple(read(each, field, field.name) for each in value)
            if not values or len(set(values)) < len(values):
                raise InvalidInputError(f"{field.name} is {list(value)}; expected at least one value, each once")
        else:
            values = (read(value, field, field.name),)
        return values if len(values) > 1 or field.name == "shape" else values[0]

    def _digest(self, value: Any, field: Field[Any], name: str) -> str:
        """The digest of the dictionary in a file; the manifest of a sweep has digests themselves."""
        from ..dictionary import PatchDictionary

        path = _string(value, name)
        if re.fullmatch("[0-9a-f]{64}", path):
            return path
        if not path:
            raise InvalidInputError(f"{name} is empty; expected {_expected(field)}")
        file = (self._folder / path).absolute()
        digest = PatchDictionary.load(file).digest
        self._dictionaries[digest] = file
        return digest

    def _range(self, table: Mapping[str, Any], field: Field[Any], design: str) -> Axis:
        """The range that a table of low, high and scale is; the values it is cut into, for a grid."""
        name, path = field.name, ("parameters", field.name)
        self._known(table, ("low", "high", "scale", "count"), "a key of a range", *path)
        with self._at(*path):
            whole = field.type is int or name == "shape"
            if not whole and field.type is not float:
                raise DtypeError(f"{name} is a range; expected {_expected(field)}, or a list")
            if "low" not in table or "high" not in table:
                absent = "high" if "low" in table else "low"
                raise InvalidInputError(f"{name} is a range without {absent}; expected low and high")
            if design == "random" and "count" in table:
                raise InvalidInputError(f"{name} has a count in a random design; expected points for the whole design")
            if design == "grid" and "count" not in table:
                raise InvalidInputError(f"{name} is a range without count; expected the number of its values")
            low, high = (_scalar(table[key], whole, f"{name}.{key}") for key in ("low", "high"))
            scale = _choice(table.get("scale", "linear"), f"{name}.scale", ("linear", "log"))
            if not (0.0 if scale == "log" else -math.inf) < low < high:
                order = "0 < low < high" if scale == "log" else "low < high"
                raise InvalidInputError(f"{name} goes from {low} to {high} on a {scale} scale; expected {order}")
            interval = Range(low, high, scale)
            if design == "random":
                return interval
            count = integer(table["count"], f"{name}.count", minimum=2, maximum=MOST_POINTS)
            shares = [k / (count - 1) for k in range(count)]
            values = tuple(round(interval.at(s)) if whole else interval.at(s) for s in shares)
            if len(set(values)) < count:
                raise InvalidInputError(f"{name} has no {count} different values from {low} to {high}; expected fewer")
            return tuple((int(side), int(side)) for side in values) if name == "shape" else values

    def _known(self, table: Mapping[str, Any], known: Collection[str], what: str, *path: str) -> None:
        for key in table:
            if key not in known:
                close = difflib.get_close_matches(str(key), known, n=1)
                expected = close[0] if close else f"one of {', '.join(known)}"
                with self._at(*path, key):
                    raise InvalidInputError(f"{key} is not {what}; expected {expected}")

    @contextmanager
    def _at(self, *path: str) -> Iterator[None]:
        """Lets a complaint about the key ``path`` begin with where it is set."""
        try:
            yield
        except FastpatchError as error:
            line = None if self._text is None else line_of(self._text, path)
            where = self._source if line is None else f"{self._source}, line {line}"
            raise type(error)(f"{where}: {error}") from None


def _builtins(value: Any) -> Any:
    """The same mapping with Python's own numbers and lists for NumPy's, for ranges and for tuples."""
    if isinstance(value, Mapping):
        return {key: _builtins(entry) for key, entry in value.items()}
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist() if value.size <= MOST_POINTS else value
    if isinstance(value, range | tuple | list) and len(value) <= MOST_POINTS:
        return [_builtins(entry) for entry in value]
    return value


def _value(value: Any, field: Field[Any], name: str) -> Value:
    """A value of the parameter's type. Its range is a matter of the whole point, which `Point.check` looks at."""
    if field.type is bool:
        if not isinstance(value, bool):
            raise DtypeError(f"{name} is {value!r}; expected {_expected(field)}")
        return value
    if field.name == "shape":
        return _shape(value, name)
    if field.type in (int, float):
        return _scalar(value, field.type is int, name)
    return str(_choice(value, name, get_args(field.type)))


def _shape(value: Any, name: str) -> tuple[int, int]:
    """The sides of a square, of a text as 200x120, or of a pair."""
    if isinstance(value, list | tuple) and len(value) != 2:
        raise InvalidInputError(f"{name} has a value {list(value)}; expected a side, as 80, or two, as 200x120")
    found = sides(value) if isinstance(value, str) else value if isinstance(value, list | tuple) else (value, value)
    first, second = (integer(side, name, minimum=1, maximum=_LARGEST) for side in found)
    return first, second


def _scalar(value: Any, whole: bool, name: str) -> float:
    return integer(value, name, minimum=0, maximum=_LARGEST) if whole else _number(value, name)


def _expected(field: Field[Any]) -> str:
    if field.name == "dictionary":
        return "the path of an npz file"
    return "true or false" if field.type is bool else f"one of {', '.join(get_args(field.type))}"


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DtypeError(f"{name} is {value!r}; expected a number")
    return finite_float(value, name)


def _string(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise DtypeError(f"{name} is {value!r}; expected a string")
    return value


def _choice(value: Any, name: str, choices: tuple[str, ...]) -> Any:
    if value not in choices:
        raise InvalidInputError(f"{name} is {value!r}; expected {' or '.join(map(repr, choices))}")
    return value


def _natural(minimum: int) -> Callable[[Any, str], int]:
    return lambda value, name: integer(value, name, minimum=minimum, maximum=_LARGEST)


_KEYS: dict[str, Callable[[Any, str], Any]] = {
    "title": _string,
    "design": lambda value, name: _choice(value, name, ("grid", "random")),
    "points": _natural(1),
    "replicas": _natural(1),
    "seed": _natural(0),
    "records": _natural(1),
    "shells": _natural(3),
    "budget": _number,
}
