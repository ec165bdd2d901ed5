"""Results of one day on one kind of machine, in one file: a section a program, each with the machine's state."""

import datetime
import json
from pathlib import Path
from typing import Any

from bench.machine import describe_machine, machine_kind, slug
from fastpatch.atomic import atomic_path
from fastpatch.errors import ResultFileError

__all__ = ["FOLDER", "latest", "store"]

FOLDER = Path(__file__).resolve().parent / "results"


def store(section: str, content: Any, folder: Path = FOLDER) -> Path:
    """Put a section into today's file of this kind of machine, replacing an earlier one of the day."""
    path = folder / f"{datetime.date.today().isoformat()}-{slug(machine_kind())}.json"
    found = _read(path) if path.exists() else {}
    found[section] = {"machine": describe_machine(), "content": content}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n")
    return path


def latest(section: str, folder: Path = FOLDER, *, of_this_machine: bool = False) -> dict[str, Any]:
    """The newest section of that name, with ``machine`` and ``content``; `ResultFileError` if there is none."""
    pattern = f"*-{slug(machine_kind())}.json" if of_this_machine else "*.json"
    for path in sorted(folder.glob(pattern), reverse=True):
        found = _read(path)
        if section in found:
            return {"date": path.name[:10], **found[section]}
    raise ResultFileError(f"{folder} holds no result with {section!r}; expected one, as `make bench` writes it")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ResultFileError(f"{path} is not readable ({error}); expected a result of `make bench`") from None
    if not isinstance(content, dict):
        raise ResultFileError(f"{path} holds a {type(content).__name__}; expected a result of `make bench`")
    return content
