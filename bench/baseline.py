"""The tracked baseline: what every benchmark cost on one kind of machine, and how much that varies.

The rule. A baseline holds, for every benchmark, its ratio to the yardstick in n repeated runs, each in a process of its
own. Logarithms of ratios scatter about a mean m with standard deviation s; one more run of unchanged code exceeds

    m + max(t s sqrt(1 + 1/n), log 1.05),    t the 99 % quantile of Student's distribution of n - 1 degrees of freedom

with a probability of at most 1 %, and that is the limit. The least margin of 5 % stands for what differs between any
two builds, such as the alignment of loops. `bench.check` gives a benchmark that exceeds its limit two more chances.
"""

import argparse
import datetime
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

from bench.calibration import IDENTITY
from bench.console import BenchmarkError, columns, run_main
from bench.machine import describe_machine, machine_title
from bench.suite import Record, run_suite
from fastpatch.atomic import atomic_path
from fastpatch.errors import ResultFileError

__all__ = ["BASELINE", "Baseline", "Expectation", "expectation"]

BASELINE = Path(__file__).resolve().parent / "baseline.json"

_QUANTILE = 0.99
_LEAST_MARGIN = 0.05
_FEWEST_RUNS = 3
# A margin wider than this would let a slowdown by half go unseen.
_WIDEST_MARGIN = 0.5


@dataclass(frozen=True)
class Expectation:
    """The ratio that a benchmark should have, and the largest that unchanged code may show."""

    ratio: float
    limit: float

    @property
    def margin(self) -> float:
        return self.limit / self.ratio - 1.0


def expectation(ratios: Sequence[float]) -> Expectation:
    """The rule of this module, for the ratios of at least three repeated runs."""
    if len(ratios) < _FEWEST_RUNS:
        raise BenchmarkError(f"a baseline has {len(ratios)} runs; expected at least {_FEWEST_RUNS}")
    logarithms = np.log(ratios)
    n, mean = len(ratios), float(logarithms.mean())
    scatter = float(logarithms.std(ddof=1)) * math.sqrt(1.0 + 1.0 / n)
    margin = max(float(scipy.stats.t.ppf(_QUANTILE, n - 1)) * scatter, math.log1p(_LEAST_MARGIN))
    return Expectation(math.exp(mean), math.exp(mean + margin))


@dataclass(frozen=True)
class Baseline:
    """Ratios of repeated runs, by benchmark, and what they were measured on and with."""

    machine: dict[str, Any]
    ratios: dict[str, list[float]]
    calibration: str = IDENTITY
    recorded: str = ""

    @classmethod
    def of(cls, runs: Sequence[Sequence[Record]]) -> "Baseline":
        """The baseline of repeated runs on this machine; a benchmark must be in all of them."""
        collected: dict[str, list[float]] = {}
        for record in chain.from_iterable(runs):
            collected.setdefault(record.name, []).append(record.ratio)
        for name, ratios in collected.items():
            if len(ratios) != len(runs):
                raise BenchmarkError(f"{name} was timed {len(ratios)} times; expected once in each of {len(runs)} runs")
        found = describe_machine()
        machine = {"kind": found["kind"], "versions": found["versions"]}
        return cls(machine, collected, recorded=datetime.date.today().isoformat())

    def expectations(self) -> dict[str, Expectation]:
        return {name: expectation(ratios) for name, ratios in self.ratios.items()}

    def save(self, path: Path = BASELINE) -> None:
        """Write the baseline, replacing the file only when it is complete."""
        content = {
            "recorded": self.recorded,
            "machine": self.machine,
            "calibration": self.calibration,
            "ratios": {name: [float(f"{ratio:.5g}") for ratio in ratios] for name, ratios in self.ratios.items()},
        }
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path = BASELINE) -> "Baseline":
        """Read a baseline; `ResultFileError` if it is missing or damaged."""
        try:
            content = json.loads(path.read_text())
            return cls(content["machine"], content["ratios"], content["calibration"], content["recorded"])
        except FileNotFoundError:
            raise ResultFileError(
                f"{path} does not exist; expected a baseline, as `make bench-baseline` records it"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResultFileError(f"{path} is not a readable baseline ({error}); expected one") from None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.baseline", description="Record the baseline anew.")
    parser.add_argument("--runs", type=int, default=7, help="repeated runs of the whole suite, at least 3 (default 7)")
    parser.add_argument("--output", type=Path, default=BASELINE, help="file to write (default: the tracked one)")
    options = parser.parse_args()
    if options.runs < _FEWEST_RUNS:
        parser.error(f"--runs is {options.runs}; expected at least {_FEWEST_RUNS}")
    baseline = Baseline.of([run_suite() for _ in range(options.runs)])
    baseline.save(options.output)
    found = baseline.expectations()
    rows = [(name, f"{expected.ratio:.4g}", f"+{expected.margin:.0%}") for name, expected in found.items()]
    print(columns([("benchmark", "ratio", "margin"), *rows]))
    print(f"{machine_title(baseline.machine['kind'])}, {options.runs} runs, written to {options.output}")
    loose = [name for name, expected in found.items() if expected.margin > _WIDEST_MARGIN]
    if loose:
        print(f"Scatter too much for a slowdown by half to be seen, which a quieter machine helps: {', '.join(loose)}.")


if __name__ == "__main__":
    run_main(main)
