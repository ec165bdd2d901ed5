"""Settings and results that several test files share."""

import os
import signal

# Two threads exist on a machine with one core, so that results can be
# compared between numbers of threads everywhere; idle ones sleep, so that tests running side by side do not starve.
os.environ.setdefault("NUMBA_NUM_THREADS", str(max(2, os.cpu_count() or 1)))
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
from cases import BACKENDS, DTYPES
from hypothesis import settings

import fastpatch as fp
from fastpatch.errors import BackendUnavailableError

settings.register_profile("fastpatch", derandomize=True, deadline=None, database=None, max_examples=50)
settings.load_profile("fastpatch")


@pytest.fixture(autouse=True)
def signals():
    """The command line's answer to SIGTERM ends with the test: a forked child that had it might not die of one."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(params=BACKENDS)
def backend(request):
    from fastpatch.runs.backends import resolve_backend

    try:
        return resolve_backend(request.param)
    except BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(params=DTYPES)
def dtype(request):
    return request.param


@pytest.fixture
def threads(monkeypatch):
    """Sets the number of threads, for one test, in which the smallest piece of work is shared out too."""
    from fastpatch import threads
    from fastpatch.kernels import pool

    monkeypatch.setattr(threads, "_chosen", None)
    monkeypatch.setattr(pool, "_LEAST_SHARE", 1e-15)
    return threads.set_threads


@pytest.fixture(scope="session")
def main_job():
    """The paper's patch experiment with all its defaults (App. C.13)."""
    return fp.simulate(fp.PatchModel(fp.PatchDictionary.random()))


@pytest.fixture(scope="session")
def small_result():
    """A run of a second's fraction that has every variable, for files and figures."""
    model = fp.PatchModel(fp.PatchDictionary.random())
    return fp.simulate(model, shape=(12, 10), trajectories=2, times=fp.log_time_grid(10.0, steps=30), snapshots=3)


@pytest.fixture(scope="module")
def one_torch_thread():
    """So small a problem gains nothing from more, and waits for them on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
