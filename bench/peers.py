"""The patch step of fastpatch against NumPy, torch and JAX, timed alternately in one process a number of threads.

Before anything is timed, one noiseless step of every contender must agree with a float64 evaluation to `TOLERANCE`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import numpy as np

from bench.console import BenchmarkError, columns, run_main
from bench.results import store
from bench.suite import ROOT

__all__ = ["TOLERANCE", "agreeing_contenders", "interleave", "summary"]

# Largest error of a step in x, whose values reach about 5: a few roundings of float32.
TOLERANCE = 3e-6

BATCHES = ((1, 32), (1, 80), (4, 80), (64, 80), (1, 256), (1, 512), (1, 1024), (1, 2048), (1, 4096))

_OWN = "fastpatch"
_SITE_STEPS = 2**18
_ROUNDS = (5, 60)
_SECONDS = 1.5
_PAUSE = 0.01
_BRIEF = 0.05
# Float32 lattices that the hungriest contender holds at once.
_LATTICES = 70

Contender = tuple[Callable[[], Any], Callable[[], Any]]


def interleave(contenders: dict[str, Contender], seconds: float, rounds: tuple[int, int]) -> dict[str, list[float]]:
    """Seconds of every call, by name; each contender is ``(reset, advance)``, of which ``advance`` is timed.

    They take turns, after one call each that is not counted, with pauses in which the worker threads of the one before
    stop spinning, and a call that is not counted after it where calls are short: a core that has slept is slow for
    milliseconds, with caches that hold something else. Who has used its ``seconds`` and had its least number of
    ``rounds`` drops out, except the first, who runs in every round.
    """
    for reset, advance in contenders.values():
        reset()
        advance()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    first, *others = contenders
    active = list(others) or [first]
    for turn in range(rounds[1]):
        for name in dict.fromkeys([first, *active]):
            reset, advance = contenders[name]
            sleep(_PAUSE)
            if times[name] and times[name][-1] < _BRIEF:
                reset()
                advance()
            reset()
            start = perf_counter()
            advance()
            times[name].append(perf_counter() - start)
        active = [name for name in active if turn + 1 < rounds[0] or sum(times[name]) < seconds]
        if not active:
            break
    return times


def summary(times: dict[str, list[float]], site_steps: int) -> dict[str, dict[str, float]]:
    """By contender: nanoseconds a site and step, and its time over the first one's.

    ``ratio_25``, ``ratio_50`` and ``ratio_75`` are quartiles over calls of the same round; ``ratio_minima`` compares
    the shortest calls, which a busy machine disturbs least.
    """
    own = np.array(next(iter(times.values())))
    found = {}
    for name, seconds in times.items():
        quartiles = np.percentile(np.array(seconds) / own[: len(seconds)], [25, 50, 75])
        found[name] = {
            "median_ns": 1e9 * float(np.median(seconds)) / site_steps,
            "minimum_ns": 1e9 * min(seconds) / site_steps,
            "rounds": len(seconds),
            "ratio_minima": min(seconds) / float(own.min()),
            **dict(zip(("ratio_25", "ratio_50", "ratio_75"), quartiles.tolist(), strict=True)),
        }
    return found


def _nothing() -> None:
    pass


def agreeing_contenders(trajectories: int, side: int) -> tuple[dict[str, Contender], dict[str, float], int]:
    """Who can take part on this lattice, by name, their errors of one step, and the site updates in a call.

    Raises `BenchmarkError` for an error beyond `TOLERANCE`.
    """
    from bench.cases import CELL, CRITICAL, SEED, evolved_field, grid_index, stepper
    from bench.peer_steps import forget_compiled_code, peers_at_hand
    from bench.peer_steps.problem import Problem, reference_step
    from fastpatch.noise import standard_normals

    x = evolved_field(CRITICAL, side, trajectories)
    problem = Problem(x, CRITICAL, max(1, _SITE_STEPS // x.size))
    cell = Problem(evolved_field(CRITICAL, min(side, CELL), trajectories), CRITICAL, 1)
    copies = side // cell.x.shape[-1]
    expected = np.tile(reference_step(cell), (1, copies, copies))
    reset, once = stepper(x, CRITICAL, 1)
    reset()
    noise = standard_normals(x.shape, seed=SEED, step=grid_index(CRITICAL))
    errors = {_OWN: _error(once() - problem.constants[0, 3] * noise, expected)}
    contenders: dict[str, Contender] = {_OWN: stepper(x, CRITICAL, problem.steps)}
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if _LATTICES * x.nbytes < physical / 2:
        forget_compiled_code()
        for name, factory in peers_at_hand().items():
            advance, noiseless = factory(problem)
            errors[name] = _error(noiseless(), expected)
            contenders[name] = (_nothing, advance)
    for name, error in errors.items():
        if not error <= TOLERANCE:
            raise BenchmarkError(f"one step of {name} is off by {error:.2g}; expected at most {TOLERANCE:.2g}")
    return contenders, errors, x.size * problem.steps


def _error(found: Any, expected: Any) -> float:
    return float(np.abs(found - expected).max())


def _work(threads: int, batches: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """Time all contenders on all lattices; to be called in a process of its own, limited to ``threads`` CPUs."""
    from bench.peer_steps import set_peer_threads
    from fastpatch.threads import thread_limit

    set_peer_threads(threads)
    rows = []
    with thread_limit(threads):
        for trajectories, side in batches:
            contenders, errors, site_steps = agreeing_contenders(trajectories, side)
            load = os.getloadavg()[0]
            found = summary(interleave(contenders, _SECONDS, _ROUNDS), site_steps)
            where = {"threads": threads, "trajectories": trajectories, "side": side, "load": load}
            rows += [{**where, "name": name, "error": errors[name], **numbers} for name, numbers in found.items()]
            print(f"timed {trajectories}x{side}x{side} on {threads} thread(s)", file=sys.stderr, flush=True)
    return rows


def _limited_environment(threads: int) -> dict[str, str]:
    """Thread counts that the libraries read when they are loaded."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    single = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"} if threads == 1 else {}
    return {**os.environ, **dict.fromkeys(names, str(threads)), "NUMBA_NUM_THREADS": str(threads), **single}


def measure_peers(threads: int, batches: list[tuple[int, int]]) -> Any:
    """Rows of the comparison, taken in a process that sees only so many CPUs, where the system can arrange for that."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "bench.peers", "--worker", str(output), "--threads", str(threads)]
        command += ["--batches", *(f"{trajectories}x{side}" for trajectories, side in batches)]
        done = subprocess.run(command, cwd=ROOT, env=_limited_environment(threads))
        if done.returncode != 0:
            raise BenchmarkError(f"the comparison on {threads} thread(s) ended with status {done.returncode}")
        return json.loads(output.read_text())


def _table(rows: list[dict[str, Any]]) -> str:
    header = (
        "lattice",
        "threads",
        "contender",
        "ns/site/step",
        "minimum",
        "x fastpatch",
        "quartiles",
        "minima",
        "error",
    )
    return columns(
        [
            header,
            *(
                (
                    f"{row['trajectories']}x{row['side']}x{row['side']}",
                    str(row["threads"]),
                    row["name"],
                    f"{row['median_ns']:.2f}",
                    f"{row['minimum_ns']:.2f}",
                    f"{row['ratio_50']:.2f}",
                    f"{row['ratio_25']:.2f}-{row['ratio_75']:.2f}",
                    f"{row['ratio_minima']:.2f}",
                    f"{row['error']:.1e}",
                )
                for row in rows
            ),
        ]
    )


def _batch(text: str) -> tuple[int, int]:
    trajectories, side = text.split("x")
    return int(trajectories), int(side)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[n for n in (1, 2) if n <= (os.cpu_count() or 1)])
    parser.add_argument("--batches", type=_batch, nargs="+", default=list(BATCHES), metavar="TRAJECTORIESxSIDE")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        (count,) = options.threads
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-count:])
        options.worker.write_text(json.dumps(_work(count, options.batches)))
        return
    rows: list[dict[str, Any]] = []
    for count in options.threads:
        rows += measure_peers(count, options.batches)
        path = store("peers", rows)
    print(_table(rows))
    print(f"written to {path.relative_to(ROOT)}")


if __name__ == "__main__":
    run_main(main)
