"""Sweeps as they run: on processes of this machine, on a scheduler by its address, from the command line."""

import json
import os
import re
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest
from sweep_cases import COUNT, SPEC, content, threaded_client

import fastpatch as fp
from fastpatch.errors import InvalidInputError, SchedulerError, SweepError, VersionMismatchError
from fastpatch.runs import workers
from fastpatch.sweeps import Point, cluster

TOML = (
    'title = "small"\nrecords = 8\nshells = 3\n[parameters]\nshape = [8, 12]\nsteps = [15, 20, 40]\n'
    'trajectories = [1, 2]\nsolver = "ancestral"\n'
)


@pytest.fixture(scope="module")
def client():
    with threaded_client() as client:
        yield client


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(TOML)
    return path


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "fastpatch", "sweep", *map(str, arguments)],
        capture_output=True, text=True, timeout=300, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def command_on_terminal(*arguments, **environment):
    """The same with standard error on a terminal: (exit status, standard output, what the terminal shows)."""
    terminal, end = os.openpty()
    termios.tcsetwinsize(end, (24, 80))
    with subprocess.Popen(
        [sys.executable, "-m", "fastpatch", "sweep", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=end, text=True, env={**os.environ, **environment},
    ) as process:  # fmt: skip
        os.close(end)
        errors = b""
        # A terminal that nobody writes to any more ends with an error on Linux and with nothing elsewhere.
        with suppress(OSError):
            while more := os.read(terminal, 4096):
                errors += more
        shown = process.stdout.read()
    os.close(terminal)
    return process.returncode, shown, errors.decode()


def number(line):
    return float(re.search(r"\d[\d.e+]*", line.split("  ", 1)[1]).group())


def test_the_command_runs_a_spec_on_processes_and_knows_when_it_is_finished(spec, client, tmp_path, monkeypatch):
    log = tmp_path / "log"
    preload = json.dumps([str(Path(__file__).with_name("logged_points.py"))])
    setting = {"DASK_DISTRIBUTED__WORKER__PRELOAD": preload, "LOGGED_POINTS": str(log)}
    status, shown, errors = command_on_terminal(spec, "--out", tmp_path / "out", "--workers", 2, **setting)
    assert status == 0, errors
    points, cost, _, wrote = shown.splitlines()
    assert (number(points), number(cost)) == (COUNT, pytest.approx(3 * (8**2 + 12**2) * (15 + 20 + 40), rel=1e-2))
    assert points.endswith(f"computed now: {COUNT}")
    assert wrote == f"wrote {tmp_path / 'out' / 'sweep.zarr'}"
    assert re.search(r"dashboard: http://127\.0\.0\.1:\d+/status", errors)
    assert f" 0/{COUNT} " in errors
    assert f" {COUNT}/{COUNT} " in errors
    assert "Traceback" not in errors
    # Processes and threads give the same files, here two of them and there one. The preload leaves the revision out.
    monkeypatch.setattr("fastpatch.provenance.git_revision", lambda: None)
    fp.sweep({**SPEC, "title": "small"}, tmp_path / "threads", client)
    assert content(tmp_path / "out") == content(tmp_path / "threads")
    ids, workers = zip(*(line.split() for line in log.read_text().splitlines()), strict=True)
    assert len(ids) == len(set(ids)) == COUNT
    assert len(set(workers)) == 2
    again = command(spec, "--out", tmp_path / "out", **setting)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.splitlines()[0].endswith("computed now: 0")
    assert again.stdout.splitlines()[-1] == f"already complete: {tmp_path / 'out' / 'sweep.zarr'}"
    assert len(log.read_text().splitlines()) == COUNT


def test_a_finished_sweep_needs_neither_dask_nor_kernels(client, tmp_path):
    fp.sweep(SPEC, tmp_path / "out", client)
    code = (
        "import sys\nfrom fastpatch.sweeps.run import complete\nfrom fastpatch.sweeps import load_spec\n"
        f"print(complete(load_spec({SPEC!r}), {str(tmp_path / 'out')!r})[1])\n"
        "print(sorted({'dask', 'distributed', 'numba', 'xarray', 'zarr'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["0", "[]"]


def test_the_default_directory_is_named_after_the_spec(spec, tmp_path, monkeypatch, client):
    monkeypatch.chdir(tmp_path)
    fp.sweep(SPEC, Path("runs") / "study", client)
    done = command(spec)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "already complete: runs/study/sweep.zarr")


def test_workers_are_single_threaded_spawned_processes():
    def about():
        import multiprocessing
        import os

        import numba

        return os.getpid(), multiprocessing.get_start_method(allow_none=True), numba.config.NUMBA_NUM_THREADS

    with cluster.local_client(2) as client:
        workers.require_suitable(client)
        found = client.run(about)
        started = client.scheduler_info(n_workers=-1)["workers"]
    processes, methods, threads = zip(*found.values(), strict=True)
    assert len({*processes, os.getpid()}) == 3
    assert set(methods) <= {"spawn", None}
    assert set(threads) == {1}
    assert {worker["nthreads"] for worker in started.values()} == {1}


def test_a_running_scheduler_by_its_address(client, tmp_path):
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, processes=False, threads_per_worker=1, protocol="tcp://", dashboard_address="127.0.0.1:0"
    ) as running:
        fp.sweep(SPEC, tmp_path / "address", running.scheduler_address)
        done = command(*write(tmp_path), "--out", tmp_path / "command", "--scheduler", running.scheduler_address)
    assert done.returncode == 0, done.stderr
    fp.sweep(SPEC, tmp_path / "client", client)
    assert content(tmp_path / "address") == content(tmp_path / "client")


def write(directory):
    (directory / "other.toml").write_text(TOML)
    return [directory / "other.toml"]


def test_a_scheduler_that_does_not_answer_is_named_with_the_time_out(spec, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_TIMEOUT", 1)
    message = r"no scheduler answered at tcp://127\.0\.0\.1:9 within 1 s; expected that of a running `dask scheduler`"
    with pytest.raises(SchedulerError, match=message):
        fp.sweep(SPEC, tmp_path / "out", "tcp://127.0.0.1:9")


@pytest.mark.parametrize("address", ["nonsense", "http://127.0.0.1:22", "tcp://host", ""])
def test_what_is_no_address(address, tmp_path):
    with pytest.raises(InvalidInputError, match=rf"the scheduler's address is '{address}' \(.*\); expected tcp://host"):
        fp.sweep(SPEC, tmp_path / "out", address)


@pytest.mark.parametrize(("package", "shown"), [("numba", "0.1.2"), ("fastpatch", "0.0.9"), ("numpy", None)])
def test_a_worker_of_another_version_is_named_with_both_versions(package, shown, client, tmp_path, monkeypatch):
    from distributed.versions import get_versions

    from fastpatch.runs.workers import installed

    def other(packages=None):
        found = get_versions(packages)
        found["packages"][package] = shown
        return found

    (worker,) = client.cluster.workers.values()
    monkeypatch.setitem(worker.handlers, "versions", other)
    message = (
        rf"has {package} {shown or 'not at all'} and the client has {installed()[package]}; expected the same version"
    )
    with pytest.raises(VersionMismatchError, match=rf"^worker inproc://\S+ {message}$"):
        fp.sweep(SPEC, tmp_path / "out", client)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_worker_of_another_version_that_joins_later_is_found_too(client, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "require_suitable", lambda _: None)
    monkeypatch.setattr("fastpatch.sweeps.tasks.installed", lambda: {"fastpatch": "0.0.9"})
    with pytest.raises(
        SweepError, match=rf"12 of 12 points failed.*has fastpatch 0\.0\.9.*client has {fp.__version__};"
    ):
        fp.sweep(SPEC, tmp_path / "out", client)


def test_a_worker_of_several_threads_is_refused(tmp_path):
    from distributed import Client

    with (
        Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as client,
        pytest.raises(
            InvalidInputError, match=r"worker inproc://\S+ has 2 threads; expected one, as of `dask worker --n"
        ),
    ):
        fp.sweep(SPEC, tmp_path / "out", client)


def test_workers_beside_a_scheduler_are_refused(client, tmp_path):
    with pytest.raises(InvalidInputError, match="workers is 2 beside a scheduler, which has its own; expected one of"):
        fp.sweep(SPEC, tmp_path / "out", client, workers=2)
    with pytest.raises(InvalidInputError, match="workers is 0; expected at least 1"):
        fp.sweep(SPEC, tmp_path / "out", workers=0)


def test_a_sweep_that_is_refused_claims_no_directory(client, tmp_path):
    directory = tmp_path / "out"
    for scheduler, options, message in (
        (None, {"workers": 0}, "workers is 0; expected at least 1"),
        ("foo", {}, "the scheduler's address is 'foo'"),
        (5, {}, "client is a int; expected a Client, or a scheduler's address"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            fp.sweep(SPEC, directory, scheduler, **options)
        assert not (directory / "manifest.json").exists()
    other = {**SPEC, "seed": 99}
    assert fp.sweep(other, directory, client).sizes


def test_a_point_that_fails_is_named_and_keeps_no_other_from_being_done(client, tmp_path, monkeypatch):
    simulate = Point.simulate

    def failing(self, *arguments):
        if self.parameters.shape == (12, 12) and self.parameters.steps == 20:
            raise MemoryError
        return simulate(self, *arguments)

    monkeypatch.setattr(Point, "simulate", failing)
    monkeypatch.setattr("fastpatch.sweeps.store._SHARD_BYTES", 1)
    message = (
        r"^2 of 12 points failed, the first with shape = 12x12, steps = 20, trajectories = \d, solver = ancestral: its "
        "worker ran out of memory; "
    )
    with pytest.raises(
        SweepError, match=message + "what is finished is kept, and the same command goes on from there$"
    ):
        fp.sweep(SPEC, tmp_path / "out", client)
    monkeypatch.undo()
    assert fp.open_sweep(tmp_path / "out")["finished"].sum() == 10
    assert fp.sweep(SPEC, tmp_path / "out", client)["finished"].all()


WRONG = {
    "records = 'x'": (2, r"study\.toml, line 1: records is 'x'; expected an integer"),
    "records = 8\nrecrods = 8": (2, r"study\.toml, line 2: recrods is not a key of a spec; expected records"),
    "records =": (2, r"study\.toml is not TOML: "),
    "budget = 1": (2, r"asks for 5\.12e\+07 site-steps in 1 points, beyond its budget of 1; expected .* --yes"),
    "[parameters]\npatch_size = 4": (
        2,
        r"the point with patch_size = 4 is impossible: size is 4; expected an odd pattern size",
    ),
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_spec_is_one_sentence_and_leaves_nothing(text, tmp_path, monkeypatch, capsys):
    from fastpatch.cli import main

    status, message = WRONG[text]
    (tmp_path / "study.toml").write_text(text)
    monkeypatch.setattr(sys, "argv", ["fastpatch", "sweep", "study.toml"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main()
    shown, errors = capsys.readouterr()
    assert (stop.value.code, shown) == (status, "")
    assert re.fullmatch(rf"fastpatch: .*{message}.*\n", errors)
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


def test_a_spec_that_is_not_there_is_answered_with_the_ready_ones(tmp_path, monkeypatch, capsys):
    from fastpatch.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fastpatch", "sweep", "finite-sise"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    assert re.fullmatch(
        r"fastpatch: finite-sise cannot be read .*ready specs finite-size, prior-mass, quench-rate\n",
        capsys.readouterr().err,
    )


@pytest.mark.slow
def test_a_script_that_its_workers_cannot_import_is_told_what_to_do(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"import fastpatch as fp\nfp.sweep({SPEC!r}, {str(tmp_path / 'out')!r}, workers=1)\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith(
        "SchedulerError: the worker processes did not start; expected a script that calls this only under "
        '`if __name__ == "__main__"`, because they import it'
    )
