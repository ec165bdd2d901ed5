"""What is vast is refused before it is begun, and what the host lacks or does to a process leaves nothing behind."""

import gzip
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastpatch as fp
from fastpatch.errors import InvalidInputError
from fastpatch.messages import has_terminal, tell
from fastpatch.progress import progress_bar

MODEL = fp.PatchModel(fp.PatchDictionary.random())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fp.simulate(MODEL, (10**7, 10**7), 4),
            r"4 trajectories on 10000000×10000000 sites takes 1\.",
        ),
        (lambda: next(fp.states(MODEL, (10**7, 10**7), 4)), "4 trajectories on 10000000×10000000 sites takes"),
        (lambda: fp.PatchDictionary.random(10**18), "a dictionary of 1000000000000000000 random patterns takes"),
        (lambda: fp.PatchDictionary.random(4, size=10**7 + 1), "a dictionary of 4 random patterns takes"),
    ],
)
def test_what_exceeds_the_memory_is_refused_with_its_size(call, message):
    with pytest.raises(InvalidInputError, match=rf"{message}.* of memory; expected at most .*, which are free"):
        call()


@pytest.mark.parametrize("shells", [range(10**10), iter(int, 1)])
def test_shells_without_end_are_not_gone_through(shells):
    with pytest.raises(InvalidInputError, match="shells are more than 65536; expected fewer"):
        MODEL.mode_derivatives(np.zeros((8, 9)), 1.0, shells)


@pytest.mark.parametrize("option", [["--shells", "10000000000"], ["--random-patterns", "1000000000000000000"]])
def test_the_command_refuses_them_in_one_sentence(option, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "fastpatch", "patch", *option, "--out", str(tmp_path / "out")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("fastpatch: ")
    assert len(done.stderr.splitlines()) == 1


def test_an_archive_is_not_unpacked_beyond_the_length_that_is_published(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed")
    from fastpatch.neural import data

    with gzip.open(tmp_path / "t10k-labels-idx1-ubyte.gz", "wb", compresslevel=1) as file:
        file.write(bytes(2**24))
    longest, read = [], gzip.GzipFile.read

    def counted(self, size=-1):
        content = read(self, size)
        longest.append(len(content))
        return content

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    with pytest.raises(data.DataFileError, match="t10k-labels"):
        data.load_labels("test", tmp_path)
    assert max(longest) == 8 + 10000 + 1


class Closed(io.StringIO):
    """A stream of somebody's own that is no terminal and knows nothing of it."""

    isatty = None


@pytest.mark.parametrize("stream", ["missing", "closed", "strange"])
def test_without_a_stream_there_is_no_bar_and_no_error(stream, monkeypatch):
    found = {"missing": None, "closed": io.StringIO(), "strange": object()}[stream]
    if stream == "closed":
        found.close()
    monkeypatch.setattr(sys, "stderr", found)
    assert not has_terminal()
    if stream != "strange":
        tell("nobody listens")
        assert list(progress_bar(range(3), show=True)) == [0, 1, 2]
        fp.simulate(MODEL, (8, 9), 1, [2.0, 1.0], progress=True)


@pytest.mark.skipif(sys.platform == "win32", reason="streams are closed by a shell of POSIX")
def test_the_command_runs_with_its_standard_error_closed(tmp_path):
    small = "--shape 12 --random-patterns 2 --trajectories 1 --steps 200"
    command = f"{sys.executable} -m fastpatch patch {small} --out {tmp_path / 'out'} 2>&-"
    done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, check=False, timeout=120)
    assert done.returncode == 0
    assert (tmp_path / "out" / "result.nc").exists()


def test_results_of_a_run_go_to_zarr_without_a_warning(tmp_path):
    pytest.importorskip("zarr", reason="zarr is not installed")
    dataset = fp.simulate(MODEL, (8, 9), 1, [2.0, 1.0])
    assert dataset["direction"].dtype == "<U1"
    dataset.to_zarr(tmp_path / "run.zarr", zarr_format=3, consolidated=False)


SCRATCH = """
import sys, time
from fastpatch.runs.chunks.files import Scratch
scratch = Scratch(None)
print(scratch.path, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="locks are those of POSIX")
def test_states_that_a_killed_run_has_left_go_at_the_next_start(tmp_path, monkeypatch):
    pytest.importorskip("dask", reason="dask is not installed")
    import tempfile

    from fastpatch.runs.chunks.files import Scratch

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    theirs = [tmp_path / "fastpatch-notes", tmp_path / "fastpatch-linked", tmp_path / "other"]
    for path in (theirs[0], theirs[2]):
        path.mkdir()
        (path / "notes.txt").write_text("precious")
    theirs[1].symlink_to(theirs[2], target_is_directory=True)
    # A killed job's directory with its free lock, and what only resembles a scratch directory.
    for name, lock in (
        ("fastpatch-run", ".lock"),
        ("fastpatch-scratch-abcdefgh", ".lock"),
        ("fastpatch-scratch-of-mine", ".scratch-lock"),
    ):
        theirs.append(tmp_path / name)
        theirs[-1].mkdir()
        for file in (lock, "notes.txt"):
            (theirs[-1] / file).write_text("precious")
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", SCRATCH], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            left = Path(process.stdout.readline().strip())
            mine = Scratch(None)
            assert left.exists()
        finally:
            process.send_signal(signal.SIGKILL)
    assert left.exists()
    again = Scratch(None)
    assert not left.exists()
    assert mine.path.exists()
    assert again.path.exists()
    assert all((path / "notes.txt").read_text() == "precious" for path in theirs)
    path = mine.path
    del mine
    assert not path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="locks are those of POSIX")
def test_a_scratch_directory_that_is_removed_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    pytest.importorskip("dask", reason="dask is not installed")
    from fastpatch.runs.chunks import files

    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path))
    opened, removed = files.open_regular, []

    def beside_another_start(path, flags):
        descriptor = opened(path, flags)
        if not removed:
            removed.append(path.parent)
            files._remove_abandoned(tmp_path)
        return descriptor

    monkeypatch.setattr(files, "open_regular", beside_another_start)
    scratch = files.Scratch(None)
    assert scratch.path != removed[0]
    assert [path.name for path in scratch.path.iterdir()] == [".scratch-lock"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_a_sweep_that_is_terminated_leaves_no_scratch_of_dasks(tmp_path):
    spec = tmp_path / "study.toml"
    spec.write_text("replicas = 200\n[parameters]\nshape = 64\nsteps = 4000\n")
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "fastpatch", "sweep", str(spec), "--out", str(tmp_path / "out"), "--workers", "2"],
        env=environment, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        while not list((tmp_path / "out" / "staged").glob("[!.]*.npz")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in said
    space = tmp_path / "dask-scratch-space"
    assert not space.exists() or not [path for path in space.iterdir() if path.is_dir()]
