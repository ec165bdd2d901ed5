"""The README: its Python runs, its printed report is the report of its command, its commands and pages exist."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer.main

import fastpatch as fp
from fastpatch.cli import app

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def block(language):
    (found,) = (code for name, code in BLOCKS if name == language)
    return found


def test_its_python_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    exec(compile(block("python"), "README.md", "exec"), namespace)
    shown = capsys.readouterr().out
    assert "lambda_0 crosses zero (drift)" in shown
    assert namespace["ds"]["roughness"].dims == ("trajectory", "time")


def test_its_report_is_that_of_the_main_job(main_job):
    """To the digits printed, but for the last of the intervals, which a resampled error moves."""
    found, printed = str(fp.summary(main_job)).splitlines(), block("text").splitlines()
    assert [line[:34] for line in found] == [line[:34] for line in printed]
    for ours, theirs in zip(found, printed, strict=True):
        numbers = [[float(word) for word in re.findall(r"\d+\.\d+", line[34:])] for line in (ours, theirs)]
        np.testing.assert_allclose(*numbers, rtol=5e-3, err_msg=theirs)


def test_its_commands_exist():
    root = typer.main.get_command(app)
    named = [shlex.split(line.removeprefix("$ "), comments=True) for line in block("console").splitlines()]
    named += [["fastpatch", *words.split()] for cell in re.findall(r"\| `fastpatch ([^|]+) \|", TEXT)
              for words in re.findall(r"[a-z][a-z0-9 ]+", cell)]  # fmt: skip
    commands = [words[1:] for words in named if words[0] == "fastpatch"]
    assert len(commands) > 10
    for words in commands:
        command = root
        for word in words:
            assert word in command.commands, f"fastpatch {' '.join(words)}"
            command = command.commands[word]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)", TEXT))))
def test_what_it_links_to_is_there(target):
    assert target.startswith("https://") or (ROOT / target).is_file()


def test_it_is_short():
    assert len(TEXT.splitlines()) <= 110
