"""The command line: every command end to end on small runs, one sentence for every mistake, nothing left half done."""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import fastpatch as fp
from fastpatch.cli import main

SMALL = ("--shape", "12x14", "--t-max", "10", "--steps", "40", "--trajectories", "2", "--quiet")
HEAVY = ("dask", "h5netcdf", "h5py", "matplotlib", "numba", "pandas", "scipy", "torch", "xarray")


@pytest.fixture
def command(monkeypatch, capsys, threads):
    """Runs ``fastpatch ARGUMENTS`` in this process: (exit status, standard output, standard error)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["fastpatch", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        return status, *capsys.readouterr()

    return run


def listing(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("arguments", [[], ["patch"], ["empirical"], ["theory"], ["plot"], ["sweep"], ["info"]])
def test_help_comes_without_the_heavy_imports(arguments):
    code = (
        "import sys\nfrom fastpatch.cli import main\n"
        f"sys.argv = ['fastpatch', *{arguments!r}, '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        f"print(sorted(set({HEAVY!r}) & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == "[]\n"
    if not arguments:
        assert all(name in done.stdout for name in ("patch", "empirical", "theory", "plot", "sweep", "info"))


def test_help_gives_every_parameter_of_the_appendix_with_its_value(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    status, shown, _ = command("patch", "--help")
    assert status == 0
    flat = re.sub(r"\s+", " ", shown.replace("│", " "))
    for option, default in {
        "shape": "80 80", "patch-size": "5", "random-patterns": "8", "sign-flips": "sign-flips", "uniform-mass": "0.9",
        "t-max": "50", "t-min": "0.001", "steps": "2000", "beta": "1.0", "trajectories": "4", "shells": "6",
        "seed": "0", "dtype": "float32", "backend": "auto", "record-every": "1", "snapshots": "5", "out": "runs/patch",
    }.items():  # fmt: skip
        assert re.search(rf"--{option}\b", flat), option
        if option != "shape":
            assert re.search(rf"--{option} .*?default: {default}", flat), option


def test_the_module_runs_as_the_script_does():
    done = subprocess.run(
        [sys.executable, "-m", "fastpatch", "patch", "--steps", "0", "--out", os.devnull + "/x"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "fastpatch: steps is 0; expected at least 1\n"


@pytest.fixture(scope="module")
def patch_run(tmp_path_factory):
    """What ``fastpatch patch`` leaves of a small run, and what it prints."""
    directory = tmp_path_factory.mktemp("cli") / "deep" / "patch"
    done = subprocess.run(
        [sys.executable, "-m", "fastpatch", "patch", *SMALL, "--seed", "3", "--out", str(directory)],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return directory, done


_TOUCH_AND_FREE = """
import resource, sys
import numpy as np
from fastpatch.cli import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def faults():
    arrays = [np.ones(2**18) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
faults()
before = faults()
print([faults() for _ in range(20)][-1] - before)
"""


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc here")
def test_memory_that_is_freed_is_used_again():
    def pages(word):
        command = [sys.executable, "-c", _TOUCH_AND_FREE, word]
        return int(subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout)

    # 20 times 8 arrays of 2 MiB, in pages of 4 KiB.
    assert pages("returned") > 20_000
    assert pages("kept") < 500


def test_patch_writes_a_result_two_figures_and_a_table(patch_run):
    directory, done = patch_run
    assert listing(directory) == ["figure3.png", "result.nc", "snapshots.png"]
    assert done.stderr == ""
    table = done.stdout.splitlines()
    # Predictions: the closed form for Omega = 25, then the dictionary's own.
    for name, time_of in {"score": 3.258, "eq. 17": 2.889, "drift": 3.912}.items():
        row = next(line for line in table if name in line)
        assert float(re.findall(r"\d+\.\d+", row.split(")")[-1])[0]) == pytest.approx(time_of, abs=6e-4)
    for name in (
        "renormalised",
        "Gaussian closure",
        "Gaussian null",
        "lambda_0 crosses zero",
        "score Jacobian crosses zero",
        "xi_eq largest",
        "xi_x grows fastest",
        "final xi_x",
        "wall time",
    ):
        assert any(name in line for line in table), name
    result = fp.load(directory / "result.nc")
    final = next(line for line in table if "final xi_x" in line)
    assert float(final.split()[3]) == pytest.approx(np.median(result["xi_x"][:, -1]), rel=1e-3)
    wrote = table[table.index(next(line for line in table if line.startswith("wrote"))) :]
    for name, line in zip(["result.nc", "figure3.png", "snapshots.png"], wrote, strict=True):
        assert line.endswith(str(directory / name))
    # Nothing wraps in a terminal of 80 columns, but for paths.
    assert max(len(line) for line in table[: -len(wrote)]) <= 80


def test_patch_is_simulate_with_the_same_parameters(patch_run):
    directory, _ = patch_run
    result = fp.load(directory / "result.nc")
    model = fp.PatchModel(fp.PatchDictionary.random())
    expected = fp.simulate(model, (12, 14), 2, fp.log_time_grid(10.0, steps=40), seed=3)
    for name in expected.data_vars:
        np.testing.assert_array_equal(result[name], expected[name], err_msg=name)
    assert json.loads(result.attrs["provenance"])["run"] == json.loads(expected.attrs["provenance"])["run"]


def test_every_option_of_patch_arrives(command, tmp_path):
    options = {
        "shape": "9x16", "patch-size": 3, "random-patterns": 2, "uniform-mass": 0.5, "dictionary-seed": 4,
        "t-max": 20.0, "t-min": 0.01, "steps": 30, "beta": 0.5, "trajectories": 3, "shells": 4, "seed": 8,
        "dtype": "float64", "backend": "cpu", "threads": 1, "record-every": 7, "snapshots": 3, "out": tmp_path,
    }  # fmt: skip
    words = [f"--{name} {value}" for name, value in options.items()]
    status, _, errors = command("patch", "--no-sign-flips", "--quiet", *" ".join(words).split())
    assert (status, errors) == (0, "")
    dictionary = fp.PatchDictionary.random(2, False, 0.5, 3, 4)
    model, grid = fp.PatchModel(dictionary, fp.VPSchedule(0.5)), fp.log_time_grid(20.0, 0.01, 30)
    expected = fp.simulate(
        model, (9, 16), 3, grid, 8, backend="cpu", dtype="float64", record_every=7, snapshots=3, shells=range(5)
    )
    result = fp.load(tmp_path / "result.nc")
    for name in expected.variables:
        np.testing.assert_array_equal(result[name], expected[name], err_msg=name)
    assert json.loads(result.attrs["provenance"])["environment"]["threads"] == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--snapshots", "0", "--trajectories", "1", "--random-patterns", "2"],
        ["--uniform-mass", "1", "--random-patterns", "0"],
        ["--uniform-mass", "0", "--random-patterns", "2"],
    ],
    ids=" ".join,
)
def test_corners_of_patch(command, options, tmp_path):
    status, shown, errors = command("patch", *SMALL, *options, "--out", tmp_path)
    assert (status, errors) == (0, "")
    assert "nan" not in shown
    assert "figure3.png" in listing(tmp_path)


def test_empirical_end_to_end(command, tmp_path):
    status, shown, errors = command(
        "empirical",
        "--size",
        "12",
        "--t-max",
        "10",
        "--steps",
        "60",
        "--trajectories",
        "2",
        "--quiet",
        "--out",
        tmp_path,
    )
    assert (status, errors) == (0, "")
    assert listing(tmp_path) == ["figure3.png", "result.nc", "snapshots.png"]
    assert "Omega = 144" in shown
    np.testing.assert_array_equal(fp.load(tmp_path / "result.nc")["prototype"], fp.stripe_prototypes(12))


def test_theory_prints_the_critical_times_and_draws_the_dispersion(command, tmp_path):
    status, shown, errors = command("theory", "--out", tmp_path)
    assert (status, errors) == (0, "")
    found = {line.split()[0]: [float(x) for x in line.split()[-2:]] for line in shown.splitlines()[2:7]}
    assert found["score"][0] == pytest.approx(np.log(26.0), abs=1e-4)
    assert found["eq17"][0] == pytest.approx(2.889, abs=1e-3)
    assert found["drift"][0] == pytest.approx(3.912, abs=1e-3)
    assert found["renormalised"][1] == pytest.approx(3.35, abs=0.02)
    assert found["closure"] == pytest.approx([3.284, 3.185], abs=2e-3)
    null = next(line for line in shown.splitlines() if line.startswith("null"))
    spectrum = fp.GaussianModel.from_dictionary(fp.PatchDictionary.random()).data_spectrum
    assert float(null.split()[-1]) == pytest.approx(np.log(spectrum[0, 0] - 1.0), abs=1e-4)
    assert max(map(len, shown.splitlines()[:-1])) <= 80
    assert imread(tmp_path / "dispersion.png").shape[:2] == (576, 896)
    # d = 3: Omega = 125.
    status, shown, _ = command("theory", "--dimension", "3", "--out", tmp_path)
    assert status == 0
    assert f"{np.log(126.0):.4f}" in shown
    status, _, errors = command("theory", "--patch-radius", "20", "--out", tmp_path / "none")
    assert (status, errors) == (2, "fastpatch: --patch-radius is 20; expected at least 0 and at most 19\n")
    assert not (tmp_path / "none").exists()


def test_compile_leaves_kernels_on_disk_and_says_where(command):
    status, shown, errors = command("compile")
    assert (status, errors) == (0, "")
    assert re.fullmatch(r"kernels compiled or found in [\d.]+ s, [\d.]+ MiB in \S+\n", shown)


def test_info_tells_what_it_runs_on(command):
    status, shown, _ = command("info")
    assert status == 0
    rows = {line[:18].strip(): line[18:] for line in shown.splitlines()}
    assert rows["fastpatch"] == fp.__version__
    assert rows["numpy"] == np.__version__
    assert {
        "python",
        "numba",
        "CPU",
        "vector units",
        "threads",
        "kernels",
        "kernel cache",
        "GPU",
        "torch",
    } <= rows.keys()
    assert re.fullmatch(r"\d+ of \d+", rows["threads"])


def test_plot_draws_the_same_figures_from_the_file_alone(command, patch_run, tmp_path):
    directory, _ = patch_run
    result = tmp_path / "moved.nc"
    result.write_bytes((directory / "result.nc").read_bytes())
    status, shown, errors = command("plot", result, "--out", tmp_path / "figures")
    assert (status, errors) == (0, "")
    assert listing(tmp_path / "figures") == ["figure3.png", "snapshots.png"]
    for name, size in (("figure3.png", (672, 1760)), ("snapshots.png", (480, 1600))):
        again = imread(tmp_path / "figures" / name)
        assert again.shape[:2] == size
        assert again[..., :3].std() > 0.01
        np.testing.assert_array_equal(again, imread(directory / name))
        assert str(tmp_path / "figures" / name) in shown


def test_plot_draws_vectors_for_print(command, patch_run, tmp_path):
    status, shown, _ = command(
        "plot", patch_run[0] / "result.nc", "--out", tmp_path, "--style", "paper", "--format", "pdf"
    )  # fmt: skip
    assert status == 0
    assert listing(tmp_path) == ["figure3.pdf", "snapshots.pdf"]
    assert str(tmp_path / "figure3.pdf") in shown
    # A page of 7.1 inches at 72 points.
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", (tmp_path / "figure3.pdf").read_bytes())
    assert float(box[1]) == pytest.approx(7.1 * 72, abs=0.5)


def test_plot_draws_beside_the_file_where_no_directory_is_named(command, patch_run, tmp_path, monkeypatch):
    result = tmp_path / "result.nc"
    result.write_bytes((patch_run[0] / "result.nc").read_bytes())
    directories = []
    monkeypatch.setattr(
        "fastpatch.cli.experiment.draw_figures",
        lambda dataset, directory, suffix, null: directories.append(directory) or [],
    )
    assert command("plot", result)[0] == 0
    assert directories == [tmp_path]


NONSENSE = [
    "patch --bogus",
    "bogus",
    "plot",
    "patch --dtype float16",
    "patch --backend quantum",
    "patch --steps many",
    "patch --steps 1.5",
    "patch --shape 80 80",
]
WRONG_VALUES = {
    "patch --steps 0": "steps is 0; expected at least 1",
    "patch --shape eighty": "shape is 'eighty'; expected a side, as 80, or two, as 200x120",
    "patch --shape 3x80": "the lattice is 3x80; expected sides of at least the pattern size 5",
    "patch --shape 0x8": "shape is '0x8'; expected a side, as 80, or two",
    "patch --patch-size 4": "size is 4; expected an odd pattern size",
    "patch --uniform-mass 1.5": r"uniform_mass is 1.5; expected a probability in \[0, 1\]",
    "patch --uniform-mass nan": "uniform_mass is nan; expected a finite number",
    "patch --random-patterns 0": "n_random is 0 and uniform_mass is 0.9; expected uniform_mass = 1",
    "patch --t-min 100": "t_max is 50.0 and t_min is 100.0; expected t_max > t_min > 0",
    "patch --t-min 0": "t_min is 0.0; expected t_max > t_min > 0",
    "patch --t-max inf": "t_max is inf; expected a finite number",
    "patch --beta 0": "beta is 0.0; expected a positive noise rate",
    "patch --trajectories 0": "trajectories is 0; expected at least 1",
    "patch --shells 2": r"shells is \[0, 1, 2\]; expected 0, 1, 2 and 3 among them",
    "patch --shells -1": "shells is",
    "patch --seed -1": "seed is -1; expected at least 0",
    "patch --record-every 0": "record_every is 0; expected at least 1",
    "patch --snapshots -1": "snapshots is -1; expected at least 0",
    "patch --threads 0": "threads is 0; expected at least 1 and at most",
    "patch --threads 100000": "threads is 100000; expected at least 1 and at most",
    "empirical --size 0": "size is 0; expected at least 1",
    "theory --patch-radius -1": "expected at least",
    "theory --dimension 0": "d is 0; expected at least 1",
    "theory --beta -1": "beta is -1.0; expected a positive noise rate",
    "theory --uniform-mass 2": "uniform_mass is 2.0; expected a probability",
}


@pytest.mark.parametrize("words", NONSENSE)
def test_nonsense_is_status_2_without_a_traceback(command, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, shown, errors = command(*words.split())
    assert (status, shown) == (2, "")
    assert "Traceback" not in errors
    assert "Error" in errors
    assert listing(tmp_path) == []


@pytest.mark.parametrize("words", sorted(WRONG_VALUES))
def test_a_wrong_value_is_status_2_and_one_sentence(command, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, shown, errors = command(*words.split())
    assert (status, shown) == (2, "")
    assert re.fullmatch(rf"fastpatch: .*(?:{WRONG_VALUES[words]}).*\n", errors)
    assert not list(tmp_path.rglob("*.*"))


def test_theory_of_patches_that_never_become_critical(command, tmp_path):
    # Fluctuations keep a patch of one pixel, which has no neighbours to align with, from ever becoming critical.
    status, shown, errors = command("theory", "--patch-radius", "0", "--out", tmp_path)
    assert (status, errors) == (0, "")
    assert "nan" not in shown
    assert shown.count("none") >= 2
    assert listing(tmp_path) == ["dispersion.png"]


def test_a_lattice_beyond_all_memory(command, tmp_path):
    status, _, errors = command("patch", "--shape", "10000000", "--out", tmp_path)
    assert status in (1, 2)
    assert re.fullmatch(r"fastpatch: .+\n", errors)


@pytest.mark.parametrize("name", ["patch", "empirical", "theory"])
@pytest.mark.parametrize("where", ["file/inner", "/proc/fastpatch"])
def test_an_unwritable_directory_is_noticed_before_the_run(command, name, where, tmp_path, monkeypatch):
    (tmp_path / "file").touch()

    def started(*_, **__):
        raise AssertionError("the run was started")

    monkeypatch.setattr("fastpatch.runs.simulation.simulate", started)
    status, shown, errors = command(name, "--out", tmp_path / where)
    assert (status, shown) == (1, "")
    assert re.fullmatch(r"fastpatch: .* cannot be written \(.+\); expected a writable directory\n", errors)


def test_a_gpu_where_there_is_none(command, tmp_path):
    from fastpatch.errors import BackendUnavailableError
    from fastpatch.runs.backends import resolve_backend

    try:
        pytest.skip(f"backend 'cuda' resolves to {resolve_backend('cuda')!r} here")
    except BackendUnavailableError:
        status, shown, errors = command("patch", "--backend", "cuda", "--out", tmp_path)
    assert (status, shown) == (1, "")
    assert re.fullmatch(r"fastpatch: backend is 'cuda'.*expected.*\n", errors)
    assert listing(tmp_path) == []


def test_plot_of_what_is_no_result(command, patch_run, tmp_path):
    damaged = tmp_path / "result.nc"
    damaged.write_bytes((patch_run[0] / "result.nc").read_bytes()[:-500])
    for file, message in (
        (damaged, "is truncated or not a NetCDF file"),
        (tmp_path / "absent.nc", "is not a file; expected a result"),
        (tmp_path, "is not a file; expected a result"),
    ):
        status, shown, errors = command("plot", file, "--out", tmp_path / "figures")
        assert (status, shown) == (1, "")
        assert re.fullmatch(rf"fastpatch: .*{message}.*\n", errors)
    assert listing(tmp_path) == ["result.nc"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_an_interrupted_run_leaves_its_checkpoint_at_most(tmp_path):
    out = tmp_path / "patch"
    arguments = ["patch", "--shape", "200", "--steps", "2000000", "--record-every", "1000", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "fastpatch", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while not out.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        # The directory is made just before the run; give it time to be under way.
        time.sleep(1.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        shown, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()  # also waits for it, and closes its pipes
    assert process.returncode not in (0, None)
    assert shown == ""
    assert "Traceback" not in errors
    assert errors.endswith("fastpatch: interrupted\n")
    # Nothing, or what the same command goes on from.
    assert set(listing(out)) <= {"run.checkpoint"}
    assert ("the same command goes on from there" in errors) == (out / "run.checkpoint").exists()


def test_an_interrupt_while_files_are_written_keeps_the_earlier_ones(command, tmp_path, monkeypatch):
    assert command("patch", *SMALL, "--out", tmp_path)[0] == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    # As late as possible: the new file is complete but not yet in its place.
    monkeypatch.setattr(os, "fsync", interrupt)
    status, _, errors = command("patch", *SMALL, "--seed", "1", "--out", tmp_path)
    monkeypatch.undo()
    assert status not in (0, None)
    assert "Traceback" not in errors
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_result_of_another_run_is_kept(command, tmp_path):
    first = (*SMALL, "--out", tmp_path)
    assert command("patch", *first)[0] == 0
    before = fp.load(tmp_path / "result.nc")
    assert command("patch", *first)[2] == ""
    assert not (tmp_path / "result.previous.nc").exists()
    status, _, errors = command("patch", *first, "--seed", "1")
    assert status == 0
    assert errors == f"fastpatch: the result of another run in {tmp_path} is now result.previous.nc\n"
    np.testing.assert_array_equal(fp.load(tmp_path / "result.previous.nc")["final"], before["final"])
    assert not np.array_equal(fp.load(tmp_path / "result.nc")["final"], before["final"])


def test_output_that_cannot_be_written_is_one_sentence(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fastpatch", "theory", "--out", str(tmp_path)],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "the output cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("lost", ["xi_eq", "mode_derivative"])
def test_plot_of_half_a_result(command, patch_run, tmp_path, lost):
    fp.save(fp.load(patch_run[0] / "result.nc").drop_vars(lost), tmp_path / "half.nc")
    status, _, errors = command("plot", tmp_path / "half.nc")
    assert status == 1
    assert f"the result has no {lost}; expected it whole" in errors
