"""The page of commands: every command of fastpatch with its options, read from the program itself at every build."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

INTRODUCTION = """\
Commands
========

Each answers ``--help`` at once and writes into ``--out`` (by default ``runs/<name>``). A mistake in the input ends in
one sentence and exit status 2; what the machine cannot do, in exit status 1.
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Full name and click command of everything that can be run."""
    from fastpatch.cli import app

    yield from _leaves("fastpatch", typer.main.get_command(app))


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child, inner in children.items():
        yield from _leaves(f"{name} {child}", inner)


class Command(Directive):
    """Description and table of options of the command whose words are the arguments."""

    required_arguments = 1
    optional_arguments = 4

    def run(self) -> list[nodes.Node]:
        command = dict(commands())[" ".join(self.arguments)]
        found: list[nodes.Node] = [
            nodes.paragraph(text=re.sub(r"\s+", " ", text).strip()) for text in (command.help or "").split("\n\n")
        ]
        rows = [(_spelling(p), p.help or "", _default(p)) for p in command.params if p.name != "help"]
        return [*found, _table(rows)] if rows else found


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).upper()
    return ", ".join(parameter.opts + parameter.secondary_opts)


def _default(parameter: Any) -> str:
    value = parameter.default
    if value is None or callable(value) or parameter.required:
        return ""
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _table(rows: list[tuple[str, str, str]]) -> nodes.table:
    group = nodes.tgroup("", *[nodes.colspec(colwidth=width) for width in (30, 55, 15)], cols=3)
    head = [nodes.entry("", nodes.paragraph(text=cell)) for cell in ("option", "meaning", "default")]
    group += nodes.thead("", nodes.row("", *head))
    body = nodes.tbody()
    for option, meaning, default in rows:
        cells = [
            nodes.literal(text=option),
            nodes.Text(meaning),
            nodes.literal(text=default) if default else nodes.Text(""),
        ]
        body += nodes.row("", *[nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells])
    group += body
    return nodes.table("", group)


def write_page(app: Sphinx) -> None:
    parts = [INTRODUCTION]
    for name, _ in commands():
        parts += [f"{name}\n{'-' * len(name)}\n", f".. command:: {name}\n"]
    path, text = Path(app.srcdir) / "reference" / "commands.rst", "\n".join(parts)
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", write_page)
    app.add_directive("command", Command)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
