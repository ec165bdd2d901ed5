"""What the host is like decides nothing: results first, then the report, then figures."""

import io
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import fastpatch as fp
from fastpatch import cli, provenance
from fastpatch.cli import experiment

SMALL = ("patch", "--shape", "12x14", "--t-max", "10", "--steps", "40", "--trajectories", "2", "--quiet")
SMALL += ("--random-patterns", "2")  # few, since the theory of the report averages over all of them


@pytest.fixture
def command(monkeypatch, capsys, threads):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["fastpatch", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code or 0, *capsys.readouterr()

    return run


def test_a_package_that_is_not_installed_costs_no_result(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    # What xarray asks for when it is imported is its own affair.
    fp.simulate(fp.PatchModel(fp.PatchDictionary.random(1, size=3)), (6, 6), 1, [2.0, 1.0])
    provenance._version.cache_clear()
    monkeypatch.setattr(metadata, "version", absent)
    try:
        found = provenance.environment()
        assert found["versions"]["numpy"] == sys.modules["numpy"].__version__
        dataset = fp.simulate(fp.PatchModel(fp.PatchDictionary.random(1, size=3)), (6, 6), 1, [2.0, 1.0])
    finally:
        provenance._version.cache_clear()
    assert dataset["final"].shape == (1, 6, 6)


def test_a_figure_that_fails_costs_neither_result_nor_report(command, tmp_path, monkeypatch):
    def fail(dataset, directory, suffix="png", null=True):
        raise RuntimeError("latex was not found")

    monkeypatch.setattr(experiment, "draw_figures", fail)
    status, shown, errors = command(*SMALL, "--out", tmp_path)
    assert status == 1
    assert "lambda_0 crosses zero" in shown
    assert "result.nc is complete, but its figures cannot be drawn (RuntimeError: latex was not found)" in errors
    assert "Traceback" not in errors
    assert fp.load(tmp_path / "result.nc").sizes["trajectory"] == 2


def test_settings_of_matplotlib_on_this_host_do_not_matter(command, tmp_path):
    settings = tmp_path / "matplotlibrc"
    settings.write_text("text.usetex: True\naxes.facecolor: black\ntext.color: white\nlines.color: black\n")
    hostile = {"MATPLOTLIBRC": str(settings), "MPLBACKEND": "of_a_notebook_that_is_not_here"}
    assert command(*SMALL, "--out", tmp_path / "here")[0] == 0
    # Settings are read when Matplotlib is imported, hence in a process of its own.
    subprocess.run(
        [sys.executable, "-m", "fastpatch", *SMALL, "--out", str(tmp_path / "there")], check=True, timeout=300,
        env={**os.environ, **hostile, "PYTHONIOENCODING": "latin-1"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert (tmp_path / "here" / "figure3.png").read_bytes() == (tmp_path / "there" / "figure3.png").read_bytes()


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_terminal_without_the_letters_gets_the_report_all_the_same(monkeypatch, encoding):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
    monkeypatch.setattr(cli, "app", lambda: print("ξ_eq … 4.5"))
    cli.main()
    sys.stdout.flush()
    assert written.getvalue().decode(encoding).split() == ["?_eq", "?", "4.5"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_an_interrupt_while_the_command_line_is_imported_leaves_no_traceback():
    code = (
        "import os, signal, sys\n"
        "from fastpatch.__main__ import main\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'fastpatch.cli':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert done.stderr == ""


def test_without_docstrings_the_help_says_why_it_is_bare():
    done = subprocess.run(
        [sys.executable, "-OO", "-m", "fastpatch", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "-OO has removed the descriptions" in " ".join(done.stdout.split())


def test_advice_to_install_can_be_pasted():
    root = Path(fp.__file__).resolve().parents[1]
    for file in [*root.glob("fastpatch/**/*.py"), *root.glob("neural/**/*.py")]:
        # Unquoted brackets are a pattern to the shell.
        assert "install fastpatch[" not in file.read_text(encoding="utf-8"), file
