"""Weak scaling of one lattice in chunks: twice the lattice on two workers against once on one.

``python -m bench.weak_scaling`` takes about three minutes on an otherwise idle machine. Beside the wall times it prints
what the chunks cost over the same run in one piece on one thread.
"""

import argparse
from statistics import median
from time import perf_counter

import fastpatch as fp
from bench.console import columns, duration, run_main
from fastpatch.runs.backends import Backend
from fastpatch.sweeps import cluster
from fastpatch.threads import set_threads

__all__ = ["run_seconds", "worker_seconds"]


def run_seconds(rows: int, columns: int, steps: int, backend: Backend = "cpu") -> float:
    """Wall time of one trajectory (``rows``, ``columns``) of the default dictionary without records but the ends."""
    times = fp.log_time_grid(t_max=6.0, t_min=1.0, steps=steps)
    model = fp.PatchModel(fp.PatchDictionary.random())
    begin = perf_counter()
    fp.simulate(model, (rows, columns), 1, times, backend=backend, snapshots=0, record_every=steps)
    return perf_counter() - begin


def worker_seconds(rows: int, columns: int, steps: int, workers: int) -> float:
    """The same in chunks on ``workers`` processes that have started and compiled."""
    with cluster.local_client(workers) as client, client.as_current():
        client.wait_for_workers(workers)
        run_seconds(256 * workers, 256, 16, "dask")
        return run_seconds(rows, columns, steps, "dask")


def main() -> None:
    """Print wall times, and efficiencies as medians of ratios within a round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096, help="Rows of the lattice a worker, and its columns.")
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    side, steps = options.side, options.steps
    set_threads(1)
    run_seconds(side, 256, 16)
    rounds = [
        (run_seconds(side, side, steps), worker_seconds(side, side, steps, 1), worker_seconds(2 * side, side, steps, 2))
        for _ in range(options.rounds)
    ]
    whole, one, two = (median(times) for times in zip(*rounds, strict=True))
    per_site = 1e9 / (side * side * steps)
    rows = [
        ["", "lattice", "wall", "ns a site, step and worker"],
        ["one piece, one thread", f"{side} x {side}", duration(whole), f"{whole * per_site:.2f}"],
        ["chunks, one worker", f"{side} x {side}", duration(one), f"{one * per_site:.2f}"],
        ["chunks, two workers", f"{2 * side} x {side}", duration(two), f"{two * per_site:.2f}"],
    ]
    print(columns(rows))
    print(f"weak-scaling efficiency: {median(one / two for _, one, two in rounds):.3f}")
    print(f"one piece over chunks on one worker: {median(whole / one for whole, one, _ in rounds):.3f}")


if __name__ == "__main__":
    run_main(main)
