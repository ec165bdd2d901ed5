"""The backend "dask": a lattice in chunks gives the trajectory of the lattice in one piece, bit for bit."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from cases import DICTIONARIES, LARGE
from distributed import get_task_stream
from scipy.ndimage import gaussian_filter
from sweep_cases import threaded_client

import fastpatch as fp
from fastpatch.analysis import correlation_length, first_lobe
from fastpatch.errors import BackendUnavailableError, FastpatchError, InvalidInputError, OutputError, SchedulerError
from fastpatch.runs import backends
from fastpatch.runs.chunks import correlation, engine, scheduler
from fastpatch.runs.chunks.arrays import overlapped
from fastpatch.runs.chunks.layout import Layout
from fastpatch.runs.chunks.scheduler import Scheduler
from fastpatch.sweeps import cluster

TIMES = fp.log_time_grid(t_max=6.0, t_min=0.02, steps=7)
OPTIONS = {"times": TIMES, "seed": 3, "snapshots": 3, "record_every": 3}


@pytest.fixture(autouse=True)
def one_thread(threads):
    # Chunks as small as these gain nothing from more.
    threads(1)


def assert_same(found, expected, dtype="float32"):
    """Fields and lengths are equal bit for bit; sums over chunks agree to the rounding of a sum over a tile."""
    assert set(found.variables) == set(expected.variables)
    for name in ("final", "snapshot", "xi_x", "time", "step", "snapshot_time", "trajectory"):
        np.testing.assert_array_equal(found[name].to_numpy(), expected[name].to_numpy(), err_msg=name)
        assert found[name].dtype == expected[name].dtype
        assert found[name].attrs == expected[name].attrs
    np.testing.assert_allclose(found["magnetization"], expected["magnetization"], rtol=1e-12, atol=1e-15)
    scale = np.abs(expected["mode_derivative"]).max(("shell", "direction"))
    error = np.abs(found["mode_derivative"] - expected["mode_derivative"]) / scale
    assert error.max() < {"float32": 2e-6, "float64": 1e-13}[dtype]


# Chunks that are and are not multiples of the four rows of a noise block and the sixteen of a band, one that spans a
# side or both, and all numbers of steps between exchanges, of which 7 steps are no multiple.
CASES = {
    "two by two": ((37, 26), (20, 16), 2),
    "odd": ((23, 31), (13, 11), 5),
    "every step": ((24, 18), (8, 18), 1),
    "one chunk": ((17, 19), None, None),
    "columns": ((16, 21), (16, 7), 3),
}


@pytest.mark.parametrize(
    ("case", "name", "dtype"),
    [
        ("two by two", "18 patterns", "float32"),
        ("two by two", "unbalanced flips", "float64"),
        ("odd", "3x3", "float32"),
        ("odd", "18 patterns", "float64"),
        ("every step", "7x7", "float32"),
        ("one chunk", "18 patterns", "float32"),
        ("columns", "1x1", "float32"),
        ("columns", "real-valued", "float32"),
    ],
)
def test_chunks_do_not_show(case, name, dtype):
    shape, chunks, every = CASES[case]
    if name in ("18 patterns", "real-valued", "unbalanced flips") and every == 5:
        every = 3
    model = fp.PatchModel(DICTIONARIES[name])
    expected = fp.simulate(model, shape, 1, dtype=dtype, first_trajectory=2, **OPTIONS)
    found = fp.simulate(
        model, shape, 1, dtype=dtype, first_trajectory=2, backend="dask", chunks=chunks, exchange_every=every, **OPTIONS
    )
    assert_same(found, expected, dtype)


def test_recording_every_step_of_several_trajectories_along_diagonals_too():
    model, shape = fp.PatchModel(DICTIONARIES["10 with flips"]), (24, 24)
    options = {**OPTIONS, "record_every": 1, "snapshots": TIMES[[2, 6]], "diagonal": True, "shells": (0, 1, 2, 3, 5)}
    expected = fp.simulate(model, shape, 2, **options)
    found = fp.simulate(model, shape, 2, backend="dask", chunks=(24, 14), exchange_every=4, **options)
    assert_same(found, expected)
    ours, theirs = (json.loads(dataset.attrs["provenance"]) for dataset in (found, expected))
    assert ours["run"] == theirs["run"]
    assert (ours["backend"], ours["chunks"], ours["exchange_every"]) == ("dask", [24, 14], 4)


def test_fields_are_read_from_disk_when_they_are_looked_at(tmp_path):
    model = fp.PatchModel(DICTIONARIES["3x3"])
    found = fp.simulate(model, (20, 12), 1, backend="dask", chunks=10, scratch=tmp_path, **OPTIONS)
    expected = fp.simulate(model, (20, 12), 1, **OPTIONS)
    assert found["final"].chunksizes == {"trajectory": (1,), "y": (10, 10), "x": (10, 2)}
    (directory,) = tmp_path.iterdir()
    assert {path.name for path in directory.iterdir()} == {"snapshot-0", "snapshot-2", "snapshot-7", "state-7"}
    part = found["final"][0, 3:5, 11]
    np.testing.assert_array_equal(part, expected["final"][0, 3:5, 11])
    # In a Zarr store as they are, in a result file once they are in memory.
    found.to_zarr(tmp_path / "result.zarr", zarr_format=2)
    assert_same(xr.open_zarr(tmp_path / "result.zarr"), expected)
    fp.save(found, tmp_path / "result.nc")
    assert_same(fp.load(tmp_path / "result.nc"), expected)
    (directory / "state-7" / "0.1.0.npy").unlink()
    with pytest.raises(
        OutputError, match=r"state-7/0\.1\.0\.npy cannot be read .*; expected what a run has left there"
    ):
        found["final"].load()


def test_a_temporary_directory_lasts_as_long_as_the_fields(tmp_path):
    with dask.config.set({"temporary-directory": tmp_path}):
        found = fp.simulate(fp.PatchModel(DICTIONARIES["3x3"]), (8, 9), 1, backend="dask", **OPTIONS)
    final = found["final"]
    del found
    gc.collect()
    assert final.load().shape == (1, 8, 9)
    del final
    gc.collect()
    assert not list(tmp_path.iterdir())


def smooth(shape, width, seed=0):
    noise = np.random.default_rng(seed).normal(size=shape)
    return gaussian_filter(noise, width, mode="wrap", axes=(-2, -1))


def lengths_of(fields, chunks):
    signs = da.from_array((fields < 0).astype(np.uint8)[None], chunks=(1, 1, *chunks))
    (found,) = correlation.correlation_lengths(Scheduler(), [signs])
    return found[0]


# Even and odd sides, lobes that end and that do not, reaches beyond a chunk and up to half a side.
@pytest.mark.parametrize(("shape", "chunks"), [((40, 40), (40, 13)), ((41, 30), (9, 30)), ((10, 66), (5, 33))])
@pytest.mark.parametrize("width", [0.5, 4.0, 30.0])
def test_correlation_lengths_are_those_of_the_fft(shape, chunks, width):
    fields = smooth((2, *shape), width)
    fields[1] += 10.0 * np.abs(fields[1]).max() * (width > 10)
    np.testing.assert_array_equal(lengths_of(fields, chunks), correlation_length(fields))


def test_long_lobes_go_through_a_transform_in_slabs(monkeypatch):
    fields = np.stack([smooth((60, 63), 9.0), smooth((60, 63), 0.5), np.ones((60, 63))])
    expected = correlation_length(fields)
    assert (expected > 9.0).sum() == 2
    monkeypatch.setattr(correlation, "LONGEST", 15)
    monkeypatch.setattr(correlation, "_SLAB", 800)
    np.testing.assert_array_equal(lengths_of(fields, (30, 21)), expected)


def test_lengths_of_lattices_beyond_the_fft_too():
    fields = smooth((1, 512, 1100), 3.0)
    assert first_lobe.is_large(fields.shape)
    np.testing.assert_array_equal(lengths_of(fields, (256, 512)), correlation_length(fields))


def test_edges_are_copied_out_of_their_chunks():
    x = da.from_array(np.arange(24 * 30).reshape(24, 30), chunks=(7, 11)).map_blocks(np.copy)
    x = x.persist(scheduler="synchronous")
    padded = overlapped(x, (3, 2))
    whole = np.pad(x.compute(), ((3, 3), (2, 2)), mode="wrap")
    for (i, j), (a, b) in zip(np.ndindex(4, 3), [(a, b) for a in (0, 7, 14, 21) for b in (0, 11, 22)], strict=True):
        block = padded.blocks[i, j].compute(scheduler="synchronous")
        np.testing.assert_array_equal(block, whole[a : a + 6 + x.chunks[0][i], b : b + 4 + x.chunks[1][j]])
    edges = [key for key in dict(padded.dask) if key[0].startswith("getitem")]
    assert edges
    assert all(edge.base is None for edge in dask.get(dict(padded.dask), edges))


# Distributed leaves sockets to a killed worker to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_workers_repeat_what_one_process_does_even_if_one_of_them_dies(tmp_path, monkeypatch):
    model, shape = fp.PatchModel(DICTIONARIES["18 patterns"]), (40, 30)
    options = {**OPTIONS, "times": fp.log_time_grid(t_max=6.0, t_min=0.02, steps=20), "record_every": 5}
    # States are written after every second exchange; a worker is killed after the third, with its half of the state.
    monkeypatch.setattr(engine, "_REMEMBERED_TASKS", 2 * 20 * 4)
    persist, calls = Scheduler.persist, []

    def murderous(self, collections):
        result = persist(self, collections)
        calls.append(len(collections))
        if len(calls) == 3:
            self.compute([result[0].sum()])
            os.kill(next(iter(self.client.run(os.getpid).values())), signal.SIGKILL)
        return result

    with dask.config.set({"temporary-directory": tmp_path}), cluster.local_client(2) as client, client.as_current():
        monkeypatch.setattr(Scheduler, "persist", murderous)
        found = fp.simulate(model, shape, 1, backend="dask", chunks=(20, 15), exchange_every=4, **options)
        assert len(calls) > 4
        found.load()
        patience = time.monotonic() + 10.0
        while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
            assert time.monotonic() < patience, "workers still hold something of a run that has ended"
            time.sleep(0.05)
    assert_same(found, fp.simulate(model, shape, 1, **options))


def test_chunks_stay_with_their_workers():
    model, shape = fp.PatchModel(DICTIONARIES["18 patterns"]), (64, 48)
    with cluster.local_client(2) as client, client.as_current():
        with get_task_stream(client) as stream:
            fp.simulate(model, shape, 1, backend="dask", chunks=(16, 24), exchange_every=2, **OPTIONS)
        addresses = sorted(client.scheduler_info()["workers"])
        placed = scheduler._placed(addresses, (1, 4, 2))
    done = defaultdict(list)
    for task in stream.data:
        key = task["key"]
        if placed["priority"](key):
            assert placed["workers"](key) == addresses
        else:
            assert placed["workers"](key) == [addresses[key[2] // 2]]
            done[key[0].split("-")[0]].append(task["worker"] == addresses[key[2] // 2])
    # What Dask makes its keys of is not documented: were they others, chunks would move.
    assert set(done) == {"draw", "overlap", "advance"}
    # A worker without work may take what is not its own.
    assert np.mean([at_home for tasks in done.values() for at_home in tasks]) > 0.7


def test_a_worker_in_a_thread(monkeypatch):
    with threaded_client() as client, client.as_current():
        test_chunks_do_not_show("two by two", "18 patterns", "float32")
        monkeypatch.setattr(engine, "_TASKS_A_CHUNK", 10**6)
        test_chunks_do_not_show("two by two", "18 patterns", "float32")


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"chunks": 3.5}, TypeError, "a side of chunks is 3.5; expected an integer"),
        ({"chunks": 0}, InvalidInputError, "a side of chunks is 0; expected at least 1"),
        ({"chunks": (4, 4, 4)}, InvalidInputError, r"chunks is \(4, 4, 4\); expected one side length or two"),
        ({"chunks": 19}, InvalidInputError, r"leaves some of 1 site\(s\) on .* expected chunks of at least 2"),
        ({"chunks": 10, "exchange_every": 6}, InvalidInputError, "exchange_every is 6; expected at most 5 steps"),
        ({"exchange_every": 0}, InvalidInputError, "exchange_every is 0; expected at least 1"),
        ({"scratch": "/proc/nowhere"}, OutputError, "/proc/nowhere cannot be written"),
        ({"solver": "heun"}, BackendUnavailableError, "with solver 'heun'; expected a PatchModel"),
        ({"model": fp.PatchModel(LARGE["70 pairs"])}, BackendUnavailableError, "'dask' has no kernels for PatchModel"),
        ({"model": fp.EmpiricalModel(fp.stripe_prototypes(20))}, BackendUnavailableError, "has no kernels for Empiri"),
        ({"backend": "cpu", "chunks": 8}, InvalidInputError, "chunks is 8 for backend 'cpu'; expected it for 'dask'"),
        ({"backend": "auto", "scratch": "x"}, InvalidInputError, "scratch is 'x' for backend 'auto'; expected it for"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(options, kind, message):
    model = fp.PatchModel(DICTIONARIES["18 patterns"])
    with pytest.raises(kind, match=message) as caught:
        fp.simulate(**{"model": model, "shape": (20, 20), "backend": "dask", **OPTIONS, **options})
    assert isinstance(caught.value, FastpatchError)
    assert "\n" not in str(caught.value)


def test_states_in_one_piece_are_refused():
    with pytest.raises(BackendUnavailableError, match="no states in one piece to yield; expected 'cpu' or 'cuda'"):
        fp.states(fp.PatchModel(DICTIONARIES["3x3"]), (8, 8), times=TIMES, backend="dask")


def test_diverged_fields_are_reported():
    # After the first, steps so long that x grows sixtyfold in each.
    times = np.concatenate([[5001.0], np.linspace(5000.0, 1.0, 39)])
    model = fp.PatchModel(DICTIONARIES["3x3"])
    for backend in ("cpu", "dask"):
        with np.errstate(all="ignore"), pytest.raises(InvalidInputError, match=r"have diverged .* shorter steps"):
            fp.simulate(model, (8, 8), 1, times, backend=backend, snapshots=0, record_every=39)


def test_workers_of_several_threads_and_none_are_refused():
    from distributed import Client, LocalCluster

    model = fp.PatchModel(DICTIONARIES["3x3"])
    for workers, kind, message in (
        (1, InvalidInputError, "has 2 threads; expected one, as of `dask worker --nthreads 1`"),
        (0, BackendUnavailableError, "the current Dask client has no workers; expected one at least"),
    ):
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
            ) as running,
            Client(running, set_as_default=False) as client,
            client.as_current(),
            pytest.raises(kind, match=message),
        ):
            fp.simulate(model, (8, 8), times=TIMES, backend="dask")


def test_a_scheduler_that_goes_is_reported_in_one_sentence(monkeypatch):
    from concurrent.futures import CancelledError

    with threaded_client() as client, client.as_current():
        scheduler = Scheduler()

        def lost(*arguments, **options):
            raise CancelledError("lengthy")

        monkeypatch.setattr(client, "compute", lost)
        with pytest.raises(SchedulerError, match="the Dask scheduler was lost in the middle of a run; expected it to"):
            scheduler.compute([da.ones(3)])


def test_without_the_packages_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailableError, match=r"package dask is not installed.*'fastpatch\[sweep\]'"):
        backends.resolve_backend("dask")


def test_suitable_chunks():
    def suitable(shape, workers=1, memory=float("inf")):
        return Layout.of(shape, 2, 4, None, None, workers, memory)

    assert suitable((80, 80)).sides == (80, 80)
    assert suitable((80, 80), workers=100).count == 1
    large = suitable((100_000, 50_000), workers=1000)
    assert large.count >= 1000
    assert max(large.sides) ** 2 * 4 <= 16 * 2**20
    assert large.exchange_every == 16
    assert suitable((4096, 4096), workers=6).count >= 6
    assert np.prod(suitable((8192, 8192), memory=64e6).sides) * 4 <= 64e6 / 32
    for length in range(64, 2000, 37):
        for workers in (1, 3, 16):
            layout = suitable((length, 3 * length + 1), workers)
            for axis, side in zip(layout.chunks, layout.sides, strict=True):
                assert sum(axis) == (length if axis is layout.chunks[0] else 3 * length + 1)
                assert min(axis) >= side // 2


_OUT_OF_CORE = """
import logging, os, sys, threading
import numpy as np, psutil
from distributed import Client, LocalCluster
import fastpatch as fp

MODEL = fp.PatchModel(fp.PatchDictionary.random(size=3))
TIMES = fp.log_time_grid(t_max=6.0, t_min=5.0, steps=6)
OPTIONS = {"dtype": "float64", "record_every": 3, "snapshots": 0}

def chunked(side, memory_limit):
    '''A run on a worker of its own, and the largest memory that this had before and while it ran.'''
    peak, over = [], threading.Event()

    def watch(process):
        while not over.wait(0.02):
            peak.append(process.memory_info().rss)

    with LocalCluster(
        n_workers=1, threads_per_worker=1, memory_limit=memory_limit, dashboard_address="127.0.0.1:0",
        local_directory=sys.argv[1], silence_logs=logging.CRITICAL,
    ) as cluster, Client(cluster) as client:
        (pid,) = client.run(os.getpid).values()
        watcher = threading.Thread(target=watch, args=(psutil.Process(pid),))
        watcher.start()
        found = fp.simulate(
            MODEL, (side, side), 1, TIMES, backend="dask", exchange_every=3, scratch=sys.argv[1], **OPTIONS
        )
        over.set()
        watcher.join()
        assert [*client.run(os.getpid).values()] == [pid], "the worker was killed"
    return found, max(peak)

# Dask lets no worker begin a task beyond 80 % of its limit, of which the packages alone take some 250 MB.
packages = chunked(128, "4GB")[1]
limit = int(1.25 * packages) + 180_000_000
side = int(np.sqrt(1.1 * limit / 8)) // 256 * 256 + 256
found, peak = chunked(side, limit)
assert peak < limit < 8 * side**2, (packages, peak, limit, side)
print(f"{packages / 1e6:.0f} MB at rest, {peak / 1e6:.0f} MB at most, {8e-6 * side**2:.0f} MB a field")
expected = fp.simulate(MODEL, (side, side), 1, TIMES, **OPTIONS)
for name in ("final", "xi_x"):
    assert np.array_equal(found[name], expected[name]), name
"""


@pytest.mark.slow
def test_a_lattice_larger_than_the_memory_of_its_worker(tmp_path):
    # It takes about a minute, and two gigabytes on disk.
    subprocess.run([sys.executable, "-c", _OUT_OF_CORE, str(tmp_path)], check=True, timeout=600)
