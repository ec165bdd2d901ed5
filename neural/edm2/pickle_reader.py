"""Pickles as inert data: a machine for the opcodes that a snapshot needs, which can neither import nor call.

A pickle is a program. Python's machine imports what it names, calls it and sets its state, and a restricted
subclass of it still does so with whatever was let through, in C, on lengths that the file announces. Here no
instruction does any of that: a global that is expected stays a name, a call or an instance becomes a `Record` of its
arguments, and bytes stay where they are in the file. All other globals and opcodes are refused, by name and offset.

Memory is bounded whatever the file says: an announced length is compared with the bytes that are there before
anything is made of them, and opcodes and text are counted against a `Budget`.
"""

import pickletools
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import Any, Literal, TypeVar

__all__ = ["Budget", "Global", "Record", "RefusedError", "Span", "Vocabulary", "read_pickle", "shown"]

_T = TypeVar("_T")

_NAMES = {ord(info.code): info.name for info in pickletools.opcodes}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": set, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
# Bytes of the unsigned number, length or memo index after the opcode.
_WIDTHS = {"BININT1": 1, "BININT2": 2, "LONG1": 1, "SHORT_BINUNICODE": 1, "BINUNICODE": 4, "SHORT_BINBYTES": 1}
_WIDTHS |= {"BINBYTES": 4, "BINPUT": 1, "LONG_BINPUT": 4, "BINGET": 1, "LONG_BINGET": 4}
# Opcodes of plain data. Not among them: the text opcodes of protocols 0 and 1, POP and DUP, which nothing that is
# only data needs, and lengths of eight bytes.
_PLAIN = {"PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "BININT", "BINFLOAT", "TUPLE", "APPEND", "APPENDS", "SETITEM"}
_PLAIN |= {"SETITEMS", *_CONSTANTS, *_EMPTY, *_TUPLES, *_WIDTHS}

_LONGEST_NAME = 256
_LONGEST_SHOWN = 100


class RefusedError(Exception):
    """The file holds something that no snapshot needs; the message says what and at which offset."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} at offset {offset}")


@dataclass(frozen=True)
class Vocabulary:
    """What a pickle may use beside plain data: opcodes, and globals by (module, name).

    A ``"mapping"``, made without arguments, is a dict; the call or instance of a ``"record"`` is a `Record`; a
    ``"name"`` can only be referred to.
    """

    opcodes: frozenset[str]
    globals: Mapping[tuple[str, str], Literal["mapping", "record", "name"]]


@dataclass
class Budget:
    """How many opcodes, and bytes of text, may still be read."""

    opcodes: int = 1 << 18
    text: int = 1 << 22


@dataclass(frozen=True)
class Global:
    """What a module has under a name; neither was looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class Span:
    """A bytes object, by its place in the file."""

    start: int
    stop: int


@dataclass(eq=False)
class Record:
    """What a pickle wanted called or instantiated, with which arguments; ``state`` is what it wanted set on it."""

    target: str
    arguments: tuple[Any, ...]
    offset: int
    state: dict[str, Any] | None = None


def read_pickle(data: bytes | mmap, start: int, stop: int, vocabulary: Vocabulary, budget: Budget) -> tuple[Any, int]:
    """The object of the pickle at ``data[start:stop]``, and the offset after its STOP.

    It consists of None, bool, int, float, str, list, dict with str keys, tuple, empty set, `Span`, `Global` and
    `Record`. Parts may be shared, contain themselves and be nested as deeply as the budget allows, so that comparing
    or printing them may never end.

    Raises `RefusedError` for everything else, and no other exception.
    """
    machine = _Machine(data, start, stop, vocabulary, budget)
    while machine.step():
        pass
    return machine.result(), machine.position


def shown(text: str) -> str:
    """Text of the file as an error message may hold it: short and on one line."""
    return text if text.isprintable() and 0 < len(text) <= _LONGEST_SHOWN else ascii(text[:_LONGEST_SHOWN])


class _Machine:
    """The stack machine of the pickle protocols 2 to 5; one instance reads one pickle."""

    def __init__(self, data: bytes | mmap, start: int, stop: int, vocabulary: Vocabulary, budget: Budget) -> None:
        self.position = start
        self._data, self._stop = data, stop
        self._vocabulary, self._budget = vocabulary, budget
        self._stack: list[Any] = []
        self._below_marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._opcode, self._offset = "the pickle", start

    def result(self) -> Any:
        """The object, once `step` has returned False."""
        if len(self._stack) != 1 or self._below_marks:
            raise self._refused("finds more or less than one object")
        return self._stack[0]

    def step(self) -> bool:
        """Carry out the next opcode; False after STOP."""
        self._offset, self._opcode = self.position, "the pickle"
        code = self._data[self._take(1)]
        self._opcode = opcode = _NAMES.get(code, f"the byte {code:#04x}")
        if opcode not in _PLAIN and opcode not in self._vocabulary.opcodes:
            raise self._refused("is no opcode that a snapshot needs")
        if self._budget.opcodes <= 0:
            raise self._refused("is one opcode more than any snapshot needs")
        self._budget.opcodes -= 1
        push = self._stack.append
        match opcode:
            case "BINGET" | "LONG_BINGET":
                index = self._number()
                if index not in self._memo:
                    raise self._refused(f"asks for object {index}, which was not stored")
                push(self._memo[index])
            case "MEMOIZE":
                self._memo[len(self._memo)] = self._top(object)
            case "BINPUT" | "LONG_BINPUT":
                self._memo[self._number()] = self._top(object)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                push(_CONSTANTS[opcode])
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_SET" | "EMPTY_TUPLE":
                push(_EMPTY[opcode]())
            case "BININT1" | "BININT2":
                push(self._number())
            case "BININT":
                push(self._signed(4))
            case "LONG1":
                push(self._signed(self._number()))
            case "BINFLOAT":
                push(struct.unpack(">d", self._bytes(8))[0])
            case "SHORT_BINUNICODE" | "BINUNICODE":
                push(self._text(self._number()))
            case "SHORT_BINBYTES" | "BINBYTES":
                length = self._number()
                start = self._take(length)
                push(Span(start, start + length))
            case "MARK":
                self._below_marks.append(self._stack)
                self._stack = []
            case "TUPLE":
                items = self._since_mark()
                self._stack.append(tuple(items))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = [self._pop(object) for _ in range(_TUPLES[opcode])]
                push(tuple(reversed(items)))
            case "APPEND":
                item = self._pop(object)
                self._top(list).append(item)
            case "APPENDS":
                items = self._since_mark()
                self._top(list).extend(items)
            case "SETITEM":
                value, key = self._pop(object), self._pop(object)
                self._set_items([key, value])
            case "SETITEMS":
                self._set_items(self._since_mark())
            case "REDUCE" | "NEWOBJ":
                arguments, target = self._pop(tuple), self._pop(Global)
                push(self._made(target, arguments))
            case "BUILD":
                state, record = self._pop(dict), self._top(Record)
                if record.state is not None:
                    raise self._refused(f"sets the state of {record.target} a second time")
                record.state = state
            case "GLOBAL":
                module, name = self._line(), self._line()
                push(self._known(Global(module, name)))
            case "STACK_GLOBAL":
                name, module = self._pop(str), self._pop(str)
                push(self._known(Global(module, name)))
            case "BINPERSID":
                push(Record("persistent id", (self._pop(object),), self._offset))
            case "PROTO":
                version = self._unsigned(1)
                if not 2 <= version <= 5:
                    raise self._refused(f"is {version}, not one of the protocols 2 to 5")
            case "FRAME":  # a hint how much to read at once, and here how much there has to be
                self._require(self._unsigned(8))
            case "STOP":
                return False
            case _:
                raise self._refused("is allowed here but unknown to this machine")
        return True

    def _refused(self, reason: str) -> RefusedError:
        return RefusedError(f"{self._opcode} {reason}", self._offset)

    # What follows an opcode in the file.

    def _require(self, count: int) -> None:
        left = self._stop - self.position
        if count > left:
            raise self._refused(f"needs {count} of {left} bytes left")

    def _take(self, count: int) -> int:
        self._require(count)
        start = self.position
        self.position += count
        return start

    def _bytes(self, count: int) -> bytes:
        start = self._take(count)
        return self._data[start : start + count]

    def _unsigned(self, width: int) -> int:
        return int.from_bytes(self._bytes(width), "little")

    def _signed(self, width: int) -> int:
        return int.from_bytes(self._bytes(width), "little", signed=True)

    def _number(self) -> int:
        return self._unsigned(_WIDTHS[self._opcode])

    def _text(self, length: int) -> str:
        self._require(length)
        if length > self._budget.text:
            raise self._refused("holds more text than any snapshot needs")
        self._budget.text -= length
        try:
            return self._bytes(length).decode("utf-8")
        except UnicodeDecodeError:
            raise self._refused("is not UTF-8") from None

    def _line(self) -> str:
        end = self._data.find(b"\n", self.position, min(self._stop, self.position + _LONGEST_NAME))
        if end < 0:
            raise self._refused(f"has no line of less than {_LONGEST_NAME} bytes")
        line = self._text(end - self.position)
        self._take(1)
        return line

    # What stands on the stack.

    def _top(self, kind: type[_T]) -> _T:
        if not self._stack:
            raise self._refused("finds nothing on the stack")
        found = self._stack[-1]
        if not isinstance(found, kind):
            raise self._refused(f"finds {type(found).__name__} where {kind.__name__} belongs")
        return found

    def _pop(self, kind: type[_T]) -> _T:
        found = self._top(kind)
        self._stack.pop()
        return found

    def _since_mark(self) -> list[Any]:
        if not self._below_marks:
            raise self._refused("finds no MARK")
        items = self._stack
        self._stack = self._below_marks.pop()
        return items

    def _set_items(self, items: list[Any]) -> None:
        target = self._top(dict)
        keys, values = items[::2], items[1::2]
        if len(keys) != len(values) or not all(isinstance(key, str) for key in keys):
            raise self._refused("finds other than pairs of a text and a value")
        target.update(zip(keys, values, strict=True))

    # What other machines would import and call.

    def _known(self, found: Global) -> Global:
        if (found.module, found.name) not in self._vocabulary.globals:
            raise self._refused(f"names {shown(str(found))}, which no snapshot needs,")
        return found

    def _made(self, target: Global, arguments: tuple[Any, ...]) -> dict[str, Any] | Record:
        kind = self._vocabulary.globals[target.module, target.name]
        if kind == "name" or (kind == "mapping" and arguments):
            raise self._refused(f"uses {target} as no snapshot does")
        return {} if kind == "mapping" else Record(str(target), arguments, self._offset)
