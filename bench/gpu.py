"""The CUDA backend on this machine's GPU: checked against the CPU, then timed beside the limits that NOTES predicts.

Everything is written after every line of it, so a run that is cut short is as useful as it is long: first the checks,
about two minutes, then the lattices in the order of their interest. Needs a GPU, numba-cuda, numpy and scipy alone.
Exit status 1 if a check fails. In Numba's simulator (``NUMBA_ENABLE_CUDASIM=1``) all of it runs on tiny lattices, and
times mean nothing.
"""

import argparse
import datetime
import json
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numba.core import config

from bench.cases import CRITICAL, SEED, engine_at, evolved_field, grid_index, patch_model
from bench.console import run_main
from bench.gpu_checks import CHECKS
from bench.machine import describe_machine
from bench.results import FOLDER
from fastpatch.atomic import atomic_path
from fastpatch.errors import FastpatchError
from fastpatch.runs.backends import resolve_backend

__all__ = ["limit", "markdown"]

# Trajectories and side; the last line of the target is the first to be timed.
_LATTICES = ((1, 8192), (1, 80), (4, 80), (64, 80), (4096, 80), (1, 1024))
_TINY = ((1, 6), (2, 6))

# Instructions a site of a step without and with recording, by the count in NOTES, and lanes of a multiprocessor.
_INSTRUCTIONS = {False: 341, True: 633}
_LANES = 128
_TARGET = 25.0
_CALL_SECONDS, _CALLS, _MOST_STEPS = 0.25, 7, 64


def device() -> dict[str, Any]:
    """The GPU and its software, as JSON."""
    if config.ENABLE_CUDASIM:  # type: ignore[attr-defined]  # set at run time
        return {"name": "Numba's simulator"}
    from numba import cuda

    found = cuda.get_current_device()
    free, total = cuda.current_context().get_memory_info()
    name = found.name.decode() if isinstance(found.name, bytes) else str(found.name)
    facts = {
        "name": name,
        "compute_capability": ".".join(map(str, found.compute_capability)),
        "multiprocessors": int(found.MULTIPROCESSOR_COUNT),
        "clock_ghz": 1e-6 * float(found.CLOCK_RATE),
        "memory_gib": round(total / 2**30, 1),
        "free_gib": round(free / 2**30, 1),
    }
    for label, ask in (("driver", _driver), ("runtime", _runtime)):
        # What a version is called changes from one release of numba-cuda to the next.
        try:
            facts[label] = str(ask())
        except Exception as error:
            facts[label] = f"unknown ({type(error).__name__})"
    return facts


def _driver() -> Any:
    from numba.cuda.cudadrv.driver import driver

    return driver.get_version()


def _runtime() -> Any:
    from numba import cuda

    return cuda.runtime.get_version()  # type: ignore[attr-defined]  # numba-cuda's, where it is installed


def limit(found: dict[str, Any], recorded: bool) -> float | None:
    """Picoseconds a site and step that issuing the instructions takes at the device's highest clock."""
    if "clock_ghz" not in found:
        return None
    return float(1e3 * _INSTRUCTIONS[recorded] / (_LANES * found["multiprocessors"] * found["clock_ghz"]))


def time_steps(trajectories: int, side: int, recorded: bool, deadline: float) -> dict[str, Any]:
    """Picoseconds a site and step of calls of about a quarter of a second, each after the same state."""
    x = evolved_field(CRITICAL, side, trajectories)
    engine = engine_at(patch_model(), x, grid_index(CRITICAL), "cuda", SEED)

    def call(steps: int) -> float:
        records = np.arange(steps) if recorded else np.full(steps, -1)
        fields = engine.space(steps if recorded else 0)
        engine.step = grid_index(CRITICAL)
        begin = perf_counter()
        engine.advance(records, fields)
        if recorded:
            engine.observe(fields, list(range(steps)))
        return perf_counter() - begin

    begin = perf_counter()
    call(1)
    first, once = perf_counter() - begin, call(1)
    steps = int(min(max(_CALL_SECONDS / max(once, 1e-6), 1), 4 if recorded else _MOST_STEPS))
    seconds: list[float] = []
    while len(seconds) < _CALLS and (len(seconds) < 2 or perf_counter() < deadline):
        seconds.append(call(steps) / steps)
    scale = 1e12 / x.size
    return {
        "trajectories": trajectories, "side": side, "recorded": recorded, "steps": steps, "calls": len(seconds),
        "minimum_ps": scale * min(seconds), "median_ps": scale * median(seconds), "first_call_s": first,
    }  # fmt: skip


def markdown(report: dict[str, Any]) -> str:
    """The report as NOTES would hold it."""
    facts = ", ".join(f"{key} {value}" for key, value in report["device"].items() if key != "name")
    lines = [f"### {report['device']['name']}, {report['date']}", "", facts, ""]
    lines += ["| check | result |", "|---|---|"]
    lines += [
        f"| {name} | {'ok' if found['ok'] else 'FAILED'}: {found['found']} |"
        for name, found in report["checks"].items()
    ]
    lines += ["", "| lattice | recorded | ps a site and step: least | median | limit of issue | least / limit |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in report["times"]:
        bound = limit(report["device"], row["recorded"])
        beside = ("", "") if bound is None else (f"{bound:.1f}", f"{row['minimum_ps'] / bound:.2f}")
        lines.append(
            f"| {row['trajectories']} × {row['side']}² | {'every step' if row['recorded'] else 'no'} "
            f"| {row['minimum_ps']:.1f} | {row['median_ps']:.1f} | {beside[0]} | {beside[1]} |"
        )
    lines += [f"| {name} | failed: {reason} | | | | |" for name, reason in report["failures"].items()]
    lines += ["", f"The target is {_TARGET:g} ps at 1 × 8192² without recording. {report['end']}", ""]
    return "\n".join(lines)


def _write(report: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix, text in ((".json", json.dumps(report, indent=1) + "\n"), (".md", markdown(report))):
        with atomic_path(path.with_suffix(suffix)) as temporary:
            temporary.write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="begin nothing new after so many (default 8)")
    parser.add_argument("--output", type=Path, help="file without suffix for the report (default: in bench/results)")
    options = parser.parse_args()
    resolve_backend("cuda")
    simulated = bool(config.ENABLE_CUDASIM)  # type: ignore[attr-defined]  # set at run time
    deadline = perf_counter() + 60.0 * options.minutes
    report: dict[str, Any] = {
        "date": datetime.date.today().isoformat(), "device": device(), "machine": describe_machine(),
        "checks": {}, "times": [], "failures": {}, "end": "Cut short.",
    }  # fmt: skip
    path = options.output or FOLDER / f"gpu-{report['date']}"
    print(f"{report['device']['name']}; written to {path.with_suffix('.md')} after every line", flush=True)
    for name, (check, side, tiny) in CHECKS.items():
        begin = perf_counter()
        # Whatever a driver raises is a result too, and the others are still to be had.
        try:
            ok, found = True, check(tiny if simulated else side)
        except Exception as error:
            ok, found = False, f"{type(error).__name__}: {' '.join(str(error).split())}"
        report["checks"][name] = {"ok": ok, "found": found, "seconds": round(perf_counter() - begin, 1)}
        print(f"{name:<32}{'ok' if ok else 'FAILED'}: {found}", flush=True)
        _write(report, path)
    cases = [(*lattice, recorded) for recorded in (False, True) for lattice in (_TINY if simulated else _LATTICES)]
    for trajectories, side, recorded in cases:
        if perf_counter() > deadline:
            break
        name = f"{trajectories} x {side}^2{', recorded' if recorded else ''}"
        try:
            row = time_steps(trajectories, side, recorded, deadline)
        except (FastpatchError, RuntimeError, MemoryError) as error:
            report["failures"][name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
            print(f"{name:<32}failed: {report['failures'][name]}", flush=True)
        else:
            report["times"].append(row)
            bound = limit(report["device"], recorded)
            beside = "" if bound is None else f", limit {bound:.1f}"
            print(f"{name:<32}{row['minimum_ps']:.1f} ps, median {row['median_ps']:.1f}{beside}", flush=True)
        _write(report, path)
    else:
        report["end"] = "Complete."
    _write(report, path)
    return 0 if all(found["ok"] for found in report["checks"].values()) else 1


if __name__ == "__main__":
    run_main(main)
