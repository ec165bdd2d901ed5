"""Machine code on disk helps where it can, and is never needed: whatever is wrong with it, results are the same."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from numba.core import config

from fastpatch.kernels import cache as kernel_cache
from fastpatch.kernels.jit import entry

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 300

FOUND, MADE = "found", "made"

# The same in a process of its own: one small kernel, as every other an entry.
SMALL = "from fastpatch.kernels.jit import entry\n@entry()\ndef add(a, b):\n    return a + b\n"
PROGRAM = "from small import add\nprint(add(20, 22), 'found' if add.stats.cache_hits else 'made')\n"


def add(a, b):
    return a + b


@pytest.fixture
def call(monkeypatch):
    """Calls a kernel that this process has not seen yet: was its code found in a folder, or made; and all warnings."""
    monkeypatch.setattr(kernel_cache, "_complaints", [])

    def run(folder, *arguments):
        # Numba reads the variable again whenever it compiles.
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
        monkeypatch.setattr(config, "CACHE_DIR", str(folder))
        kernel = entry()(add)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert kernel(20, 22) == 42
            for argument in arguments:
                kernel(argument, argument)
        return FOUND if kernel.stats.cache_hits else MADE, [str(warning.message) for warning in caught]

    return run


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the program."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "small.py").write_text(SMALL)
    return folder


def started(folder, home, code=PROGRAM, package=ROOT):
    """The program in a process of its own."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": f"{package}{os.pathsep}{home}"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, cwd=home, stdout=pipe, stderr=pipe, text=True
    )


def finished(process):
    """What happened to its code, and standard error."""
    out, complaint = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, complaint
    result, what = out.split()
    assert result == "42"
    return what, complaint


def entries(folder):
    return sorted(folder.rglob("*.kernel"))


@pytest.fixture
def folder(call, tmp_path):
    """A cache that holds the kernel."""
    assert call(tmp_path / "cache") == (MADE, [])
    assert call(tmp_path / "cache") == (FOUND, [])
    return tmp_path / "cache"


def damage_empty(content):
    return b""


def damage_truncated(content):
    return content[: len(content) // 2]


def damage_one_bit(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def damage_foreign(content):
    return b"\x80\x05K\x01." * 100


def damage_not_a_kernel(content):
    # Whole by its digest, and yet nothing that Numba could make a kernel of.
    payload = b"\x80\x05K\x01."
    return kernel_cache._MAGIC + kernel_cache.sha256(payload).digest() + payload


@pytest.mark.parametrize(
    "damage", [damage_empty, damage_truncated, damage_one_bit, damage_foreign, damage_not_a_kernel]
)
def test_damaged_entries_are_made_again(call, folder, damage):
    whole = {path: path.read_bytes() for path in entries(folder)}
    for path, content in whole.items():
        path.write_bytes(damage(content))
    assert call(folder) == (MADE, [])
    assert call(folder) == (FOUND, [])
    assert {path.name for path in entries(folder)} == {path.name for path in whole}


def multiplier(factor):
    def multiplied(x):
        return factor * x

    return multiplied


def test_functions_of_one_name_keep_apart(call, folder):
    for _ in range(2):
        for factor in (2, 3):
            assert entry()(multiplier(factor))(7) == 7 * factor
    assert len(list(folder.rglob("multiplied-*.kernel"))) == 2


def test_a_directory_in_the_place_of_an_entry(call, folder):
    for path in entries(folder):
        path.unlink()
        path.mkdir()
    what, (complaint,) = call(folder)
    assert what == MADE
    assert "set NUMBA_CACHE_DIR to a writable directory" in complaint


def test_a_file_in_the_place_of_the_directory(call, tmp_path):
    place = tmp_path / "cache"
    place.write_text("")
    what, (complaint,) = call(place)
    assert what == MADE
    assert f"compiled kernels cannot be kept ({place}" in complaint


@pytest.fixture
def fail_to_write(monkeypatch):
    """Makes the disk fail with this error whenever a kernel is written."""

    def arrange(name):
        number = getattr(errno, name)

        def refuse(path, data):
            path.touch()
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(Path, "write_bytes", refuse)

    return arrange


@pytest.mark.parametrize("error", [name for name in ("ENOSPC", "EDQUOT", "EROFS", "EACCES") if hasattr(errno, name)])
def test_a_disk_that_takes_nothing(call, tmp_path, fail_to_write, error):
    fail_to_write(error)
    # Other types, other code: still one warning.
    what, (complaint,) = call(tmp_path, 1.5, 2j)
    assert what == MADE
    assert (
        f"{os.strerror(getattr(errno, error))}), so every process compiles them anew; set NUMBA_CACHE_DIR" in complaint
    )
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/full and /proc are Linux's")
@pytest.mark.parametrize("place", ["/dev/full", "/proc/nothing"])
def test_no_directory_at_all(call, place):
    what, complaints = call(place)
    assert (what, len(complaints)) == (MADE, 1)


def test_what_cannot_be_written_is_read_all_the_same(call, folder, fail_to_write):
    # As in an image whose kernels were compiled when it was built, by another user.
    fail_to_write("EROFS")
    assert call(folder) == (FOUND, [])


def test_processes_that_compile_at_the_same_time(home, tmp_path):
    together = [started(tmp_path, home) for _ in range(3)]
    assert {finished(process)[1] for process in together} == {""}
    assert finished(started(tmp_path, home)) == (FOUND, "")
    assert len(entries(tmp_path)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("moment", ["compiling", "writing"])
def test_killed_during_the_first_compilation(home, tmp_path, moment):
    # It says when it is there, and stays there until it is killed.
    stop = "print('now', flush=True)\n    import time; time.sleep(600)\n"
    code = {
        "compiling": "from fastpatch.kernels.cache import KernelCache\n"
        f"def load(self, sig, context):\n    {stop}"
        "KernelCache.load_overload = load\n",
        "writing": "import pathlib\nwrite = pathlib.Path.write_bytes\n"
        f"def half(path, data):\n    write(path, data[:1000])\n    {stop}"
        "pathlib.Path.write_bytes = half\n",
    }[moment]
    with started(tmp_path, home, code + PROGRAM) as child:
        assert child.stdout.readline() == "now\n"
        child.send_signal(signal.SIGKILL)
    assert finished(started(tmp_path, home)) == (MADE, "")
    assert finished(started(tmp_path, home)) == (FOUND, "")
    assert len(list(tmp_path.rglob(".*.tmp"))) == (moment == "writing")


def test_what_killed_processes_have_left_is_removed_when_nobody_can_be_writing_it(call, folder):
    (place,) = folder.iterdir()
    old, new = place / ".add-0.kernel.1.1.tmp", place / ".add-0.kernel.1.2.tmp"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    for path in entries(folder):
        path.unlink()
    assert call(folder) == (MADE, [])
    assert new.exists()
    assert not old.exists()


def test_code_is_renewed_when_any_source_of_kernels_changes(home, tmp_path):
    copy, place = tmp_path / "lib", tmp_path / "cache"
    needless = shutil.ignore_patterns("__pycache__", "analysis", "neural")
    shutil.copytree(ROOT / "fastpatch", copy / "fastpatch", ignore=needless)
    assert finished(started(place, home, package=copy)) == (MADE, "")
    first = entries(place)
    callee = copy / "fastpatch" / "kernels" / "cpu" / "scratch.py"
    # As a version control system may leave it: other content, an old time.
    status = callee.stat()
    callee.write_text(callee.read_text() + "\n# changed\n")
    os.utime(callee, (status.st_atime, status.st_mtime))
    assert finished(started(place, home, package=copy)) == (MADE, "")
    assert len(entries(place)) == 1
    assert entries(place) != first


def test_kernels_compiled_ahead_are_all_that_runs_need():
    code = """
import numpy as np
import fastpatch as fp
from fastpatch.analysis import correlation_length
from fastpatch.kernels import cpu
from fastpatch.runs.compilation import compile_all
from fastpatch.kernels.cpu import signs
from fastpatch.kernels import dense
compile_all()
kernels = cpu.advance, cpu.evaluate, cpu.standard_normals, cpu.fold_block, cpu.respond_block, signs.pack_signs
kernels += (signs.count_unequal,)
before = [len(kernel.overloads) for kernel in kernels]
model = fp.PatchModel(fp.PatchDictionary.random())
for dtype in ("float32", "float64"):
    ds = fp.simulate(model, (16, 20), times=[2.0, 1.9, 1.8], dtype=dtype)
    correlation_length(np.random.default_rng(0).normal(size=(512, 1024)).astype(dtype))
x = np.zeros((8, 8))
model.score(x, 1.0), model.mode_derivatives(x, 1.0), model.spectrum(x, 1.0)
dense._MOST_UNITS = 1
model.score(x, 1.0), model.mode_derivatives(x, 1.0)
print([len(kernel.overloads) - count for kernel, count in zip(kernels, before)], min(before))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.stdout.split() == ["[0,", "0,", "0,", "0,", "0,", "0,", "0]", "1"], done.stderr


class TestNotice:
    class Terminal:
        def __init__(self, is_terminal):
            self.is_terminal, self.text = is_terminal, ""

        def isatty(self):
            return self.is_terminal

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    def said(self, stream, seconds):
        from fastpatch.runs.compilation import announced

        with announced(stream):
            time.sleep(seconds)

    def test_nothing_is_said_of_what_takes_no_time(self):
        stream = self.Terminal(True)
        self.said(stream, 0.0)
        assert stream.text == ""

    def test_a_terminal_sees_the_seconds_and_is_left_as_it_was(self):
        stream = self.Terminal(True)
        self.said(stream, 0.9)
        first, *_, blank, last = stream.text.split("\r")[1:]
        assert first.startswith("compiling kernels once, about 10 s: ")
        assert (blank.strip(), last) == ("", "")

    def test_a_file_gets_one_line(self):
        stream = self.Terminal(False)
        self.said(stream, 0.7)
        assert stream.text == "compiling kernels once, about 10 s\n"

    def test_no_stream_and_a_closed_one(self, tmp_path):
        self.said(None, 0.0)
        with (tmp_path / "log").open("w") as closed:
            pass
        self.said(closed, 0.6)


def test_folders_follow_the_environment(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    (folder,) = kernel_cache.folders()
    assert folder.parent == tmp_path
    monkeypatch.setattr(config, "CACHE_DIR", "")
    beside, at_home = kernel_cache.folders()
    assert beside == ROOT / "fastpatch" / "kernels" / "__pycache__"
    assert at_home != beside
    assert np.all([path.is_absolute() for path in (beside, at_home)])
