"""Machines that die during a sweep: nothing finished is lost or computed again, and the results are the same bits."""

import errno
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import dask
import pytest
from sweep_cases import content, threaded_client

import fastpatch as fp
from fastpatch.errors import SchedulerError, SweepError
from fastpatch.sweeps import Point, cluster

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")

# About a tenth of a second a point, so that there is something to interrupt.
COUNT = 24
TOML = f"records = 20\nreplicas = {COUNT}\n[parameters]\nshape = 40\nsteps = 1500\ntrajectories = 2\n"
PRELOAD = str(Path(__file__).with_name("logged_points.py"))


@pytest.fixture(scope="module", autouse=True)
def no_revision():
    """As in the workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastpatch.provenance.git_revision", lambda: None)
        yield


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    path = tmp_path_factory.mktemp("spec") / "study.toml"
    path.write_text(TOML)
    return path


@pytest.fixture(scope="module")
def log_file(tmp_path_factory):
    """The file in which workers note every computation."""
    path = tmp_path_factory.mktemp("log") / "log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOGGED_POINTS", str(path))
        yield path


@pytest.fixture
def log(log_file):
    """That file, empty."""
    log_file.write_text("")
    return log_file


@pytest.fixture(scope="module")
def client(log_file):
    """Two worker processes that note what they compute."""
    with ExitStack() as stack:
        # Not for the workers in threads that other tests start meanwhile.
        with dask.config.set({"distributed.worker.preload": [PRELOAD]}):
            client = stack.enter_context(cluster.local_client(2))
        yield client


@pytest.fixture(scope="module")
def undisturbed(spec, tmp_path_factory):
    """The bytes of a sweep that nothing has happened to."""
    directory = tmp_path_factory.mktemp("undisturbed") / "sweep"
    with threaded_client() as client:
        fp.sweep(spec, directory, client)
    return content(directory)


def resumed(spec, directory):
    """How often each point is computed when the sweep goes on."""
    ids, simulate = [], Point.simulate

    def counted(self, *arguments):
        ids.append(self.id)
        return simulate(self, *arguments)

    with pytest.MonkeyPatch.context() as patch, threaded_client() as client:
        patch.setattr(Point, "simulate", counted)
        fp.sweep(spec, directory, client)
    return Counter(ids)


def noted(log):
    return Counter(line.split()[0] for line in log.read_text().splitlines())


class Background(threading.Thread):
    """A call of ``function`` beside the test; ``error`` is what it raised."""

    def __init__(self, function):
        super().__init__()
        self.function, self.error = function, None
        self.start()

    def run(self):
        try:
            self.function()
        except Exception as error:
            self.error = error

    def wait_until(self, condition):
        """Wait until ``condition()``; whether it came true before the call ended."""
        deadline = time.monotonic() + 120
        while self.is_alive() and not condition():
            assert time.monotonic() < deadline, "nothing happened"
            time.sleep(0.02)
        return condition()

    def end(self):
        """What the call raised, None if it returned."""
        self.join(300)
        assert not self.is_alive()
        return self.error


def sweep_and_kill(client, spec, directory, log, kills, pause):
    """Sweep while one worker after the other, at most ``kills`` of them, dies of SIGKILL; how many did."""
    sweep = Background(lambda: fp.sweep(spec, directory, client))
    killed = 0
    while killed < kills and sweep.is_alive():
        before = sum(noted(log).values())
        if not sweep.wait_until(lambda before=before: sum(noted(log).values()) >= before + 2):
            break
        time.sleep(pause())
        with suppress(ProcessLookupError):
            os.kill(int(log.read_text().split()[-1]), signal.SIGKILL)
            killed += 1
    assert sweep.end() is None
    return killed


def test_a_worker_that_is_killed_costs_what_it_was_doing(client, spec, log, undisturbed, tmp_path):
    assert sweep_and_kill(client, spec, tmp_path / "sweep", log, 1, lambda: 0.03) == 1
    assert content(tmp_path / "sweep") == undisturbed
    assert len(noted(log)) == COUNT
    assert sum(noted(log).values()) <= COUNT + 1


def sweep_command(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "fastpatch", "sweep", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "DASK_DISTRIBUTED__WORKER__PRELOAD": f'["{PRELOAD}"]'},
    )  # fmt: skip


def staged(directory):
    # What begins with a dot is still being written.
    folder = directory / "staged"
    return {path.name for path in folder.glob("[!.]*.npz")} if folder.is_dir() else set()


@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGKILL, id="killed"), pytest.param(signal.SIGINT, id="interrupted", marks=pytest.mark.slow)],
)
def test_the_command_goes_on_where_it_was_stopped(number, spec, log, undisturbed, tmp_path):
    directory = tmp_path / "sweep"
    first = sweep_command(spec, "--out", directory, "--workers", 2)
    errors = []
    reader = Background(lambda: errors.append(first.communicate(timeout=200)[1]))
    try:
        assert reader.wait_until(lambda: len(staged(directory)) >= 3)
        first.send_signal(number)
        assert reader.end() is None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
    assert first.returncode != 0
    assert "Traceback" not in errors[0]
    kept = staged(directory)
    assert 3 <= len(kept) < COUNT
    # What had been staged is not computed again; what the two workers were doing is.
    again = resumed(spec, directory)
    assert len(again) == sum(again.values()) == COUNT - len(kept)
    assert sum((noted(log) + again).values()) <= COUNT + 2
    assert content(directory) == undisturbed


def test_a_full_disk_on_one_worker_fails_its_points_and_no_others(client, spec, undisturbed, tmp_path):
    number = errno.ENOSPC

    def fill_disk():
        import os

        def full(_):
            raise OSError(number, os.strerror(number))

        full.healthy, os.fsync = os.fsync, full

    def empty_disk():
        import os

        os.fsync = os.fsync.healthy

    client.wait_for_workers(2)
    victim = min(client.scheduler_info(n_workers=-1)["workers"])
    client.run(fill_disk, workers=[victim])
    with pytest.raises(SweepError) as raised:
        fp.sweep(spec, tmp_path / "sweep", client)
    client.run(empty_disk, workers=[victim])
    message = str(raised.value)
    assert " of 24 points failed, the first with shape = 40x40, steps = 1500, trajectories = 2" in message
    assert ".npz could not be written: the disk is full; what is finished is kept" in message
    assert "\n" not in message
    failed = int(message.split()[0])
    assert 0 < failed < COUNT
    assert len(staged(tmp_path / "sweep")) == COUNT - failed
    assert sum(resumed(spec, tmp_path / "sweep").values()) == failed
    assert content(tmp_path / "sweep") == undisturbed


@pytest.mark.slow
def test_workers_that_are_killed_again_and_again(client, log, tmp_path):
    spec = {"records": 20, "replicas": 60, "parameters": {"shape": 64, "steps": 2500, "trajectories": 2}}
    moments = random.Random(0)
    killed = sweep_and_kill(client, spec, tmp_path / "sweep", log, 8, lambda: moments.uniform(0.0, 1.0))
    assert killed == 8
    assert len(noted(log)) == 60
    assert sum(noted(log).values()) <= 60 + killed
    fp.sweep(spec, tmp_path / "again", client)
    assert content(tmp_path / "again") == content(tmp_path / "sweep")


def free_port():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


@contextmanager
def by_hand(port):
    """``dask scheduler`` and ``dask worker``, as one starts them by hand; gives the scheduler's process."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    dask_command = [sys.executable, "-m", "dask"]
    scheduler = subprocess.Popen(
        [*dask_command, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"], **quiet
    )
    worker = subprocess.Popen(
        [
            *dask_command, "worker", f"tcp://127.0.0.1:{port}", "--nworkers", "2", "--nthreads", "1",
            "--no-dashboard", "--preload", PRELOAD,
        ],
        **quiet,
    )  # fmt: skip
    try:
        yield scheduler
    finally:
        for process in (scheduler, worker):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.slow
def test_a_scheduler_that_is_killed_and_started_again(spec, log, undisturbed, tmp_path):
    port, directory = free_port(), tmp_path / "sweep"
    address = f"tcp://127.0.0.1:{port}"
    with by_hand(port) as scheduler:
        sweep = Background(lambda: fp.sweep(spec, directory, address))
        assert sweep.wait_until(lambda: len(staged(directory)) >= 3), sweep.error
        os.killpg(scheduler.pid, signal.SIGKILL)
        error = sweep.end()
        assert isinstance(error, SchedulerError)
        assert str(error).startswith(f"the scheduler at {address} was lost with ")
        assert str(error).endswith("what is finished is kept, and the same command goes on from there")
        # The workers may still finish what they are at.
        time.sleep(2.0)
    kept, before = staged(directory), noted(log)
    assert 3 <= len(kept) < COUNT
    with by_hand(port):
        fp.sweep(spec, directory, address)
    assert content(directory) == undisturbed
    assert sum((noted(log) - before).values()) == COUNT - len(kept)
    assert sum(noted(log).values()) <= COUNT + 2


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_small_disk_that_fills_up(client, spec, undisturbed, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], check=False).returncode != 0:
        pytest.skip("this system does not let root mount a small disk")
    try:
        with pytest.raises(SweepError, match=r"^\d+ of 24 points failed, the first .* the disk is full; what is fin"):
            fp.sweep(spec, disk / "sweep", client)
        assert 0 < len(staged(disk / "sweep")) < COUNT
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        fp.sweep(spec, disk / "sweep", client)
        assert content(disk / "sweep") == undisturbed
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
