"""Pickles written opcode by opcode from a description in plain values and the classes below.

Nothing is looked up or called, so that anything can be written, and memo and bytes are under the test's control.
"""

import struct
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Name:
    module: str
    name: str


@dataclass
class Call:
    """``target(*arguments)`` by REDUCE, or by NEWOBJ where ``new``; ``state`` is set by BUILD."""

    target: Name
    arguments: tuple[Any, ...] = ()
    new: bool = False
    state: Any = None


@dataclass(frozen=True)
class Opcodes:
    """Bytes that are copied into the pickle as they are."""

    content: bytes


@dataclass(frozen=True)
class Persistent:
    identity: Any


@dataclass(frozen=True)
class Stored:
    """``value``, put into the memo under ``index``; a dict is put there before its items, as picklers do."""

    index: int
    value: Any


@dataclass(frozen=True)
class Again:
    """The object of the memo under ``index``."""

    index: int


@dataclass
class Writer:
    """Protocol 4 without frames; texts and names are memoised, so that they are written once."""

    globals_by_line: bool = False
    out: bytearray = field(default_factory=bytearray)
    memo: dict[Any, int] = field(default_factory=dict)

    def pickle(self, value: Any) -> bytes:
        self.out += b"\x80\x04"
        self.put(value)
        self.out += b"."
        return bytes(self.out)

    def put(self, value: Any) -> None:
        if isinstance(value, str | Name):
            if value in self.memo:
                self.out += b"j" + struct.pack("<I", self.memo[value])
            else:
                self._put_named(value)
                self.memo[value] = len(self.memo)
                self.out += b"\x94"
        elif value is None or isinstance(value, bool):
            self.out += {None: b"N", True: b"\x88", False: b"\x89"}[value]
        elif isinstance(value, int):
            content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            self.out += b"K" + bytes([value]) if 0 <= value < 256 else b"\x8a" + bytes([len(content)]) + content
        elif isinstance(value, float):
            self.out += b"G" + struct.pack(">d", value)
        elif isinstance(value, bytes):
            self.out += b"B" + struct.pack("<I", len(value)) + value
        elif isinstance(value, Opcodes):
            self.out += value.content
        elif isinstance(value, Persistent):
            self.put(value.identity)
            self.out += b"Q"
        elif isinstance(value, Stored):
            self.memo[value.index] = value.index  # counted, as MEMOIZE does
            index = struct.pack("<I", value.index)
            if isinstance(value.value, dict):
                self.out += b"}r" + index + b"("
                self._put_items(value.value)
                self.out += b"u"
            else:
                self.put(value.value)
                self.out += b"r" + index
        elif isinstance(value, Again):
            self.out += b"j" + struct.pack("<I", value.index)
        elif isinstance(value, Call):
            self.put(value.target)
            self.put(value.arguments)
            self.out += b"\x81" if value.new else b"R"
            if value.state is not None:
                self.put(value.state)
                self.out += b"b"
        else:
            self._put_container(value)

    def _put_named(self, value: str | Name) -> None:
        if isinstance(value, str):
            content = value.encode()
            self.out += b"X" + struct.pack("<I", len(content)) + content
        elif self.globals_by_line:
            self.out += f"c{value.module}\n{value.name}\n".encode()
        else:
            self.put(value.module)
            self.put(value.name)
            self.out += b"\x93"

    def _put_container(self, value: Any) -> None:
        begin, end = {list: (b"](", b"e"), tuple: (b"(", b"t"), dict: (b"}(", b"u"), set: (b"\x8f", b"")}[type(value)]
        self.out += begin
        self._put_items(value)
        self.out += end

    def _put_items(self, value: Any) -> None:
        for item in (part for pair in value.items() for part in pair) if isinstance(value, dict) else value:
            self.put(item)


def pickled(value: Any) -> bytes:
    return Writer().pickle(value)


def opcodes(value: Any) -> Opcodes:
    """What pickles ``value``, to be part of another pickle; it must not use the memo that the other one uses."""
    return Opcodes(pickled(value)[2:-1].replace(b"\x94", b""))
