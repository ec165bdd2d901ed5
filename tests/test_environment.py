"""What the environment can do to the kernels is said in a sentence; `fastpatch info` answers whatever it is."""

import os
import subprocess
import sys

import pytest

USE = "import fastpatch as fp, numpy as np\nfp.PatchModel(fp.PatchDictionary.random(2)).score(np.zeros((8, 8)), 1.0)\n"
HINDER = "import sys\nsys.modules[{!r}] = None\n"
MAIN = "from fastpatch.cli import main\nmain()\n"


def run(code, *arguments, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in variables}
    environment |= {name: value for name, value in variables.items() if value is not None}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"NUMBA_DISABLE_JIT": "1"},
            "the environment variable NUMBA_DISABLE_JIT is '1', so that no kernel is compiled",
        ),
        (
            {"NUMBA_NUM_THREADS": "0"},
            "the environment variable NUMBA_NUM_THREADS is '0'; expected a positive number of",
        ),
        ({"NUMBA_NUM_THREADS": "two"}, "the environment variable NUMBA_NUM_THREADS is 'two'; expected a positive"),
    ],
)
def test_variables_that_stop_the_kernels(variables, sentence, tmp_path):
    done = run(USE, **variables)
    assert done.returncode == 1
    assert f"BackendUnavailableError: {sentence}" in done.stderr
    done = run(MAIN, "patch", "--steps", "4", "--out", str(tmp_path), **variables)
    assert done.returncode == 1
    assert done.stderr.startswith(f"fastpatch: {sentence}")
    assert len(done.stderr.splitlines()) == 1
    done = run(MAIN, "info", **variables)
    assert done.returncode == 0
    assert f"not available ({sentence}" in done.stdout
    assert done.stderr == ""


def test_numba_that_cannot_be_imported():
    sentence = "Numba, which compiles the kernels, cannot be imported"
    done = run(HINDER.format("numba") + USE)
    assert f"BackendUnavailableError: {sentence}" in done.stderr
    done = run(HINDER.format("numba") + MAIN, "info")
    assert done.returncode == 0
    assert sentence in done.stdout


@pytest.mark.parametrize("layer", ["nonsense", "tbb"])
def test_numbas_threading_layers_have_no_say(layer):
    done = run(USE, NUMBA_THREADING_LAYER=layer)
    assert (done.returncode, done.stderr) == (0, "")


def test_missing_optional_packages_are_named():
    lost = (
        "import importlib.metadata as metadata\n"
        "def lose(name):\n    raise metadata.PackageNotFoundError(name)\n"
        "metadata.version = lose\n"
    )
    done = run(lost + MAIN, "info")
    assert (done.returncode, done.stderr) == (0, "")
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert rows["torch"] == rows["dask"] == "not installed"


OLD_CPU = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"}


@pytest.mark.skipif(sys.platform == "darwin", reason="Apple's CPUs all have fused multiply-add")
class TestCpuWithoutFma:
    def test_one_warning_that_names_the_remedy(self):
        done = run("import fastpatch.kernels, fastpatch.kernels.cpu", **OLD_CPU)
        assert done.returncode == 0
        assert done.stderr.count("RuntimeWarning") == 1
        assert "results are the same, but steps take many times as long; expected another CPU" in done.stderr
        assert "no fused multiply-add" in run(MAIN, "info", **OLD_CPU).stdout

    @pytest.mark.slow
    def test_the_same_bits(self):
        code = (
            "import hashlib, fastpatch as fp\n"
            "model = fp.PatchModel(fp.PatchDictionary.random())\n"
            "ds = fp.simulate(model, (20, 24), trajectories=2, times=fp.log_time_grid(steps=150))\n"
            "digest = hashlib.sha256(ds.final.to_numpy().tobytes())\n"
            "digest.update(ds.mode_derivative.to_numpy().tobytes())\n"
            "print(digest.hexdigest())\n"
        )
        assert run(code, **OLD_CPU).stdout == run(code).stdout != ""
