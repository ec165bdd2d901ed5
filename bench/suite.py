"""One run of the pytest-benchmark suite, as records and as a table."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.console import BenchmarkError, columns, duration

__all__ = ["ROOT", "Record", "as_json", "best_of", "from_json", "run_suite", "table"]

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Record:
    """One benchmark in one process; times in seconds a call.

    ``calibration`` is the yardstick's shortest pass taken alternately with the calls. ``site_steps`` counts the site
    updates in a call, ``images`` what a network sees in it, ``speedup`` is over the one-thread call taken alternately;
    None where they do not apply.
    """

    name: str
    node: str
    minimum: float
    median: float
    rounds: int
    calibration: float
    load: float
    site_steps: int | None = None
    speedup: float | None = None
    images: int | None = None

    @property
    def ratio(self) -> float:
        """The shortest call in units of the yardstick's shortest pass."""
        return self.minimum / self.calibration

    @property
    def ns_per_site(self) -> float | None:
        """Nanoseconds a site and step."""
        return None if self.site_steps is None else 1e9 * self.minimum / self.site_steps

    @property
    def images_per_second(self) -> float | None:
        return None if self.images is None else self.images / self.minimum


def run_suite(arguments: Sequence[str] = ("bench",), *, show_progress: bool = True) -> list[Record]:
    """Run benchmarks in a fresh process; ``arguments`` select them as for pytest.

    Raises `BenchmarkError` if one fails or none is selected.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            *(sys.executable, "-m", "pytest", "-q", "--tb=short"),
            *("--benchmark-only", "--benchmark-quiet", f"--benchmark-json={report}"),
            *arguments,
        ]
        # Of a pytest that this is a test of, nothing: as one of several processes it would not time anything.
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        done = subprocess.run(command, cwd=ROOT, stdout=None if show_progress else subprocess.PIPE, text=True, env=own)
        if done.returncode != 0:
            raise BenchmarkError(
                f"the benchmarks ended with pytest's exit status {done.returncode}; expected 0{_tail(done.stdout)}"
            )
        content = json.loads(report.read_text())
    return [_record(entry) for entry in content["benchmarks"]]


def _tail(output: str | None) -> str:
    return "" if not output else ":\n" + output[-2000:]


def _record(entry: dict[str, Any]) -> Record:
    stats = entry["stats"]
    return Record(
        name=entry["name"].removeprefix("test_"),
        node=entry["fullname"],
        minimum=stats["min"],
        median=stats["median"],
        rounds=stats["rounds"],
        **entry["extra_info"],
    )


def best_of(records: Iterable[Record]) -> dict[str, Record]:
    """By name, the record of least ratio."""
    best: dict[str, Record] = {}
    for record in records:
        if record.name not in best or record.ratio < best[record.name].ratio:
            best[record.name] = record
    return best


def as_json(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Records for a file; the ratio is written beside what it follows from."""
    return [{**asdict(record), "ratio": record.ratio} for record in records]


def from_json(entries: Iterable[dict[str, Any]]) -> list[Record]:
    """What `as_json` wrote."""
    return [Record(**{key: value for key, value in entry.items() if key != "ratio"}) for entry in entries]


def table(records: Sequence[Record]) -> str:
    """Name, median, minimum, ratio to the yardstick, ns a site and step, gain from a second thread, images a second."""
    header = ("benchmark", "median", "minimum", "ratio", "ns/site/step", "1 -> 2 threads", "images/s")
    rows = [
        (
            record.name,
            duration(record.median),
            duration(record.minimum),
            f"{record.ratio:.4g}",
            "" if record.ns_per_site is None else f"{record.ns_per_site:.3g}",
            "" if record.speedup is None else f"{record.speedup:.2f}x",
            "" if record.images_per_second is None else f"{record.images_per_second:.4g}",
        )
        for record in records
    ]
    return columns([header, *rows])
