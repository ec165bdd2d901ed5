"""Text of unknown origin for people: names in files, other programs' complaints, keys and cards that somebody wrote."""

import sys

__all__ = ["can_tell", "has_terminal", "one_line", "printable", "reason", "tell"]

# Characters of a message: several times as many as any has that quotes nothing.
_LONGEST = 600
_LONGEST_REASON = 200


def printable(text: str) -> str:
    """``text`` with all but printable characters and line feeds escaped: none moves a cursor or hides what follows."""
    return "".join(each if each.isprintable() or each == "\n" else _escaped(each) for each in text)


def one_line(text: str, longest: int = _LONGEST) -> str:
    """``text`` as one printable line of at most ``longest`` characters, cut in the middle: its end says what helps."""
    if len(text) > 10 * longest:
        text = f"{text[: 5 * longest]} {text[-5 * longest :]}"
    line = printable(" ".join(text.split()))
    if len(line) <= longest:
        return line
    tail = longest // 3
    return f"{line[: longest - tail - 5]} ... {line[-tail:]}"


def reason(error: BaseException) -> str:
    """The first line of what an exception says, or its name if that is nothing, to be quoted in a message."""
    lines = str(error).strip().splitlines()
    return one_line(lines[0], _LONGEST_REASON) if lines else type(error).__name__


def tell(text: str) -> None:
    """Print a printable line on standard error, if there is one."""
    # Without one, print would take standard output.
    if can_tell():
        print(one_line(text), file=sys.stderr)


def can_tell() -> bool:
    """Whether standard error is there and open."""
    return sys.stderr is not None and not getattr(sys.stderr, "closed", False)


def has_terminal() -> bool:
    """Whether standard error is a terminal: where it is closed, or somebody's own object, it is none."""
    try:
        return bool(sys.stderr.isatty())
    except (AttributeError, ValueError):
        return False


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
