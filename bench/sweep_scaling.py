"""What the engine of sweeps costs: speed-up of two workers over one, overhead of a point, restart of a finished sweep,
tasks that the scheduler handles, files and bytes of a stored point.

``python -m bench.sweep_scaling`` takes about three and a half minutes on an otherwise idle machine.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.console import columns, duration, run_main
from fastpatch.sweeps import cluster, sweep

__all__ = ["Timing", "restart_seconds", "time_sweep"]


@dataclass(frozen=True)
class Timing:
    """Wall time of a sweep, and the time that its workers spent in the runs themselves, summed; seconds."""

    points: int
    workers: int
    wall: float
    runs: float

    @property
    def overhead(self) -> float:
        """Time of the workers outside the runs, scheduling, writing and waiting, over that inside."""
        return self.wall * self.workers / self.runs - 1.0


def time_sweep(points: int, trajectories: int, workers: int) -> Timing:
    """Time a sweep of equal points on workers that have started and compiled.

    A point is the paper's run, about a tenth of a second for every one of its ``trajectories``.
    """
    with tempfile.TemporaryDirectory() as directory, cluster.local_client(workers) as client:
        client.wait_for_workers(workers)
        sweep({"replicas": 4 * workers}, Path(directory, "warm"), client)
        client.run(_time_runs)
        begin = perf_counter()
        spec = {"replicas": points, "seed": 1, "budget": 1e15, "parameters": {"trajectories": trajectories}}
        sweep(spec, Path(directory, "timed"), client)
        wall = perf_counter() - begin
        return Timing(points, workers, wall, sum(client.run(_run_seconds).values()))


def _time_runs() -> None:
    """Have a worker add up the time that it spends in runs."""
    from fastpatch.sweeps import Point

    simulate = Point.simulate

    def timed(*arguments: Any) -> Any:
        begin = perf_counter()
        result = simulate(*arguments)
        timed.seconds += perf_counter() - begin  # type: ignore[attr-defined]
        return result

    timed.seconds = 0.0  # type: ignore[attr-defined]
    Point.simulate = timed  # type: ignore[method-assign,assignment]


def _run_seconds() -> float:
    """What `_time_runs` has added up."""
    from fastpatch.sweeps import Point

    return float(Point.simulate.seconds)  # type: ignore[attr-defined]


def restart_seconds(points: int = 200) -> float:
    """Wall time of the command on a sweep that is finished."""
    with tempfile.TemporaryDirectory() as directory:
        out, spec = Path(directory, "out"), Path(directory, "spec.toml")
        spec.write_text(f"replicas = {points}\n[parameters]\nshape = 8\nsteps = 200\n")
        sweep(spec, out, workers=1)
        begin = perf_counter()
        command = [sys.executable, "-m", "fastpatch", "sweep", str(spec), "--out", str(out)]
        subprocess.run(command, check=True, capture_output=True)
        return perf_counter() - begin


def tasks_a_second(tasks: int = 5000) -> float:
    """Empty tasks that scheduler, client and two workers get through in a second."""
    with cluster.local_client(2) as client:
        client.wait_for_workers(2)
        client.gather(client.map(_nothing, range(100), pure=False))
        begin = perf_counter()
        client.gather(client.map(_nothing, range(tasks), pure=False))
        return tasks / (perf_counter() - begin)


def _nothing(number: int) -> int:
    return number


def stored_point(points: int = 200) -> tuple[float, float]:
    """Files and bytes of a point of the default recording, four trajectories and 201 records, in a finished store."""
    with tempfile.TemporaryDirectory() as directory:
        spec = {"replicas": points, "parameters": {"shape": 8, "steps": 200}}
        sweep(spec, directory, workers=2)
        sizes = [path.stat().st_size for path in Path(directory).rglob("*") if path.is_file()]
        return len(sizes) / points, sum(sizes) / points


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=200, help="Points of the sweep that one and two workers share.")
    points = parser.parse_args().points
    timings = [time_sweep(points, 2, workers) for workers in (1, 2)]
    timings.append(time_sweep(max(points // 10, 1), 10, 1))
    rows = [["points", "workers", "wall", "a run", "overhead"]]
    for timing in timings:
        each = duration(timing.runs / timing.points)
        rows.append([str(timing.points), str(timing.workers), duration(timing.wall), each, f"{timing.overhead:.1%}"])
    print(columns(rows))
    print(f"speed-up of two workers: {timings[0].wall / timings[1].wall:.2f}")
    print(f"restart of a finished sweep of {points} points: {duration(restart_seconds(points))}")
    print(f"empty tasks a second: {tasks_a_second():.0f}")
    files, size = stored_point(points)
    print(f"stored point, of {points}: {files:.2f} files, {size / 1e3:.1f} kB")


if __name__ == "__main__":
    run_main(main)
