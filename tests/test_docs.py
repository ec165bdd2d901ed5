"""The pages of the documentation: their code runs, and the commands that they name exist with those options.

Blocks marked ``code-cell`` run when the site is built; here run the plain ones, page by page, each page in one
namespace. A block after ``<!-- not run: why -->`` is only compiled. A block of another language whose first line is
``# name.toml`` is a file of that name for the blocks after it.
"""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from fastpatch.cli import app

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^>]+ -->\n+)?^```(?P<language>[a-z{}-]+(?: python)?)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


def blocks(page):
    """(language, code, whether it is run) of every fenced block."""
    for found in BLOCK.finditer(page.read_text()):
        yield found["language"], found["code"], found["skip"] is None


def commands():
    """(page, words) of every line of a console block that runs fastpatch."""
    for page in PAGES:
        for language, code, _ in blocks(page):
            if language in ("console", "sh", "bash"):
                for line in code.splitlines():
                    words = shlex.split(line.removeprefix("$ "), comments=True)
                    if words[:1] == ["fastpatch"]:
                        yield pytest.param(words[1:], id=f"{page.stem}: {' '.join(words)}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_of_the_pages_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": f"docs.{page.stem}"}
    for number, (language, code, run) in enumerate(blocks(page)):
        named = re.match(r"# ([\w.-]+\.(?:toml|yaml|json))\n", code)
        if named:
            (tmp_path / named[1]).write_text(code)
        if language == "python":
            compiled = compile(code, f"{page.name}, block {number}", "exec")
            if run:
                if "torch" in code:
                    pytest.importorskip("torch", reason="torch is not installed")
                exec(compiled, namespace)


@pytest.mark.parametrize("words", list(commands()))
def test_commands_of_the_pages_exist(words):
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    assert not hasattr(command, "commands"), f"{words} names no command"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert used <= known | {"--help"}


def test_there_are_blocks_to_run():
    # The patterns above find what they are meant to find.
    found = [(language, run) for page in PAGES for language, _, run in blocks(page)]
    assert ("python", True) in found
    assert ("python", False) in found
    assert len(list(commands())) > 5
