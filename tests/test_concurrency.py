"""Kernels in any number of threads and processes at once: the bits of one thread, no warning, no waiting for ever."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from concurrent_work import KINDS, all_work, model, work

import fastpatch as fp
from fastpatch.errors import BackendUnavailableError, DtypeError, InvalidInputError
from fastpatch.kernels import pool

PATIENCE = 300
STARTS = multiprocessing.get_all_start_methods()


@pytest.fixture(scope="module")
def expected():
    with fp.thread_limit(1):
        return dict(zip(KINDS, all_work(), strict=True))


@pytest.fixture(autouse=True)
def shared_work(threads):
    threads(2)


def test_eight_threads_at_once(expected):
    jobs = [KINDS[n % len(KINDS)] for n in range(8 * 7)]
    with ThreadPoolExecutor(8) as executor:
        assert list(executor.map(work, jobs, timeout=PATIENCE)) == [expected[kind] for kind in jobs]


def test_asyncio(expected):
    async def gathered():
        loop = asyncio.get_running_loop()
        jobs = [loop.run_in_executor(None, work, kind) for kind in KINDS]
        return await asyncio.wait_for(asyncio.gather(*jobs), PATIENCE)

    assert asyncio.run(gathered()) == list(expected.values())


def test_dask_threads(expected):
    dask = pytest.importorskip("dask", reason="dask is not installed")
    jobs = [dask.delayed(work)(kind) for kind in KINDS]
    assert list(dask.compute(*jobs, scheduler="threads", num_workers=4)) == list(expected.values())


@pytest.mark.skipif("fork" not in STARTS, reason="this system cannot fork")
def test_four_forked_children_of_a_process_that_has_used_its_threads(expected):
    all_work()
    with multiprocessing.get_context("fork").Pool(4) as children:
        assert children.map_async(all_work, range(4)).get(PATIENCE) == [list(expected.values())] * 4
    assert all_work() == list(expected.values())


@pytest.mark.parametrize("method", STARTS)
def test_process_pools(method, expected):
    all_work()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as executor:
        assert list(executor.map(all_work, range(2), timeout=PATIENCE)) == [list(expected.values())] * 2


@pytest.mark.skipif("fork" not in STARTS, reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forking_in_the_middle_of_other_threads_work(expected):
    stop = threading.Event()

    def keep_busy():
        while not stop.is_set():
            work("simulate")

    busy = [threading.Thread(target=keep_busy) for _ in range(2)]
    for thread in busy:
        thread.start()
    try:
        with multiprocessing.get_context("fork").Pool(1) as children:
            assert children.map_async(work, ["simulate", "noise"]).get(PATIENCE) == [
                expected["simulate"],
                expected["noise"],
            ]
    finally:
        stop.set()
        for thread in busy:
            thread.join()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows interrupts processes in another way")
def test_an_interrupt_ends_a_run_on_several_threads():
    code = (
        "import fastpatch as fp\n"
        "model = fp.PatchModel(fp.PatchDictionary.random())\n"
        "fp.simulate(model, (64, 64), trajectories=1, times=fp.log_time_grid(3.0, steps=3))\n"
        "print('begun', flush=True)\n"
        "fp.simulate(model, (512, 512), trajectories=1, times=fp.log_time_grid(steps=100_000), record_every=50_000)\n"
    )
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe) as child:
        assert child.stdout.readline() == b"begun\n"
        time.sleep(1.0)
        child.send_signal(signal.SIGINT)
        _, complaint = child.communicate(timeout=PATIENCE)
    assert b"KeyboardInterrupt" in complaint
    assert child.returncode != 0


def test_numbas_own_threads_are_never_started_and_are_obeyed_where_they_run():
    code = (
        "import numba, fastpatch as fp\n"
        "from numba.np.ufunc import parallel\n"
        "model = fp.PatchModel(fp.PatchDictionary.random())\n"
        "fp.simulate(model, (32, 32), times=fp.log_time_grid(3.0, steps=3))\n"
        "print(fp.get_threads(), parallel._is_initialized)\n"
        "numba.set_num_threads(1)\n"
        "print(fp.get_threads())\n"
    )
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2", "NUMBA_THREADING_LAYER": "workqueue"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False", "1"]


class TestShare:
    """The pool itself, with functions of Python's for kernels."""

    def test_everybody_is_told_who_he_is(self):
        crews = []
        pool.share(lambda crew, extra: crews.append((crew.worker, crew.workers, extra)), "x", most=9, seconds=1.0)
        assert sorted(crews) == [(0, 2, "x"), (1, 2, "x")]

    def test_work_that_is_not_worth_a_thread_is_done_alone(self, monkeypatch):
        monkeypatch.setattr(pool, "_LEAST_SHARE", 1e-3)
        crews = []
        for most, seconds in ((9, 1e-3), (1, 1.0), (0, 1.0)):
            pool.share(crews.append, most=most, seconds=seconds)
        assert [(crew.worker, crew.workers) for crew in crews] == [(0, 1)] * 3

    def test_helpers_are_used_again_and_there_is_one_less_than_threads(self):
        for _ in range(50):
            pool.share(lambda crew: None, most=9, seconds=1.0)
        helpers = [thread for thread in threading.enumerate() if thread.name == "fastpatch-helper"]
        assert len(helpers) <= fp.threads.available_threads() - 1

    @pytest.mark.parametrize("failing", [0, 1])
    def test_whoever_fails_the_others_stop_waiting_and_the_caller_is_told(self, failing):
        def kernel(crew):
            if crew.worker == failing:
                raise KeyError("lost")
            while not crew.board[pool.GIVEN_UP]:
                time.sleep(1e-3)

        for _ in range(3):
            with pytest.raises(KeyError, match="lost"):
                pool.share(kernel, most=2, seconds=1.0)

    def test_nothing_is_kept_alive(self):
        array = np.zeros(3)
        count = sys.getrefcount(array)
        pool.share(lambda crew, x: None, array, most=2, seconds=1.0)
        deadline = time.monotonic() + PATIENCE
        while sys.getrefcount(array) > count and time.monotonic() < deadline:
            time.sleep(1e-3)
        assert sys.getrefcount(array) == count

    def test_a_process_that_may_have_no_more_threads_works_alone(self, monkeypatch):
        def refuse(thread):
            raise RuntimeError("can't start new thread")

        pool._retire_idle()
        monkeypatch.setattr(threading.Thread, "start", refuse)
        crews = []
        pool.share(crews.append, most=2, seconds=1.0)
        assert [crew.workers for crew in crews] == [1]


class TestNumberOfThreads:
    @pytest.mark.parametrize("count", [0, -1, 10**6])
    def test_out_of_range(self, count):
        with pytest.raises(InvalidInputError, match=f"threads is {count}; expected at least 1 and at most"):
            fp.set_threads(count)

    def test_not_a_number(self):
        with pytest.raises(DtypeError, match="threads is 'two'; expected an integer"):
            fp.set_threads("two")

    @pytest.mark.parametrize("value", ["0", "-3", "many", ""])
    def test_environment(self, value, monkeypatch):
        monkeypatch.setattr(fp.threads, "_chosen", None)
        monkeypatch.setenv("NUMBA_NUM_THREADS", value)
        with pytest.raises(
            BackendUnavailableError, match=f"NUMBA_NUM_THREADS is '{value}'; expected a positive number"
        ):
            model().score(np.zeros((16, 16)), 1.0)

    def test_limits_end_with_their_block_and_bind_no_other_thread(self):
        with fp.thread_limit(1), ThreadPoolExecutor(1) as executor:
            assert fp.get_threads() == 1
            assert executor.submit(fp.get_threads).result() == 2
        assert fp.get_threads() == 2
