"""Compare the benchmarks of this tree with a baseline; exit status 1 if one has become slower or was not run.

Minima are compared, as ratios to the yardstick, with the limits that `bench.baseline` explains. A benchmark beyond its
limit is measured again, up to twice, and its best counts. On another kind of machine than the baseline's nothing is
compared, unless asked for: the program says SKIPPED and ends with exit status 3.

Who tracks this package on a machine of their own records a baseline there, ``python -m bench.baseline --output FILE``,
and compares with ``python -m bench.check --baseline FILE`` (``make bench-baseline BASELINE=FILE``, ``make bench-check
BASELINE=FILE``).
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.baseline import BASELINE, Baseline, Expectation
from bench.calibration import IDENTITY
from bench.console import BenchmarkError, columns, run_main
from bench.machine import describe_machine, machine_kind, machine_title
from bench.suite import Record, best_of, run_suite

__all__ = ["SKIPPED", "Verdict", "check", "compare", "other_machine"]

_CHANCES = 3

# The exit status where nothing could be compared: neither well (0) nor slower (1) nor a mistake (2).
SKIPPED = 3


@dataclass(frozen=True)
class Verdict:
    """One benchmark held against its expectation; either may be missing."""

    name: str
    expected: Expectation | None
    found: Record | None

    @property
    def is_slower(self) -> bool:
        return self.expected is not None and self.found is not None and self.found.ratio > self.expected.limit

    @property
    def word(self) -> str:
        if self.expected is None:
            return "not in the baseline"
        if self.found is None:
            return "not run"
        if self.is_slower:
            return "SLOWER"
        # As far below the expectation as the limit is above it.
        return "faster" if self.found.ratio * self.expected.limit < self.expected.ratio**2 else "as before"


def compare(baseline: Baseline, records: Iterable[Record]) -> list[Verdict]:
    """A verdict on every benchmark of the baseline or among the records, of which the best of each name counts.

    Raises `BenchmarkError` if the baseline was measured with another yardstick.
    """
    if baseline.calibration != IDENTITY:
        raise BenchmarkError(
            f"the baseline's yardstick is {baseline.calibration} and this tree's {IDENTITY}; "
            "expected the same one: restore bench/calibration.py, or record a new baseline"
        )
    expected, found = baseline.expectations(), best_of(records)
    return [Verdict(name, expected.get(name), found.get(name)) for name in dict.fromkeys([*expected, *found])]


def other_machine(baseline: Baseline) -> str | None:
    """A sentence if the baseline belongs to another kind of machine than this one."""
    kind = machine_kind()
    if baseline.machine["kind"] == kind:
        return None
    return (
        f"SKIPPED: the baseline belongs to {machine_title(baseline.machine['kind'])} and this machine is "
        f"{machine_title(kind)}, so nothing was compared; record one here with `make bench-baseline BASELINE=FILE`, or "
        "compare all the same with --any-machine."
    )


def check(baseline: Baseline) -> list[Verdict]:
    """Run the suite, and those that exceed their limits again."""
    records = run_suite()
    verdicts = compare(baseline, records)
    for _ in range(_CHANCES - 1):
        slower = [verdict.found.node for verdict in verdicts if verdict.is_slower and verdict.found is not None]
        if not slower:
            break
        print(f"measuring {len(slower)} again", flush=True)
        records += run_suite(slower)
        verdicts = compare(baseline, records)
    return verdicts


def _table(verdicts: list[Verdict]) -> str:
    rows = []
    for verdict in verdicts:
        expected, found = verdict.expected, verdict.found
        change = "" if expected is None or found is None else f"{found.ratio / expected.ratio - 1.0:+.1%}"
        rows.append(
            (
                verdict.name,
                "" if expected is None else f"{expected.ratio:.4g}",
                "" if found is None else f"{found.ratio:.4g}",
                change,
                "" if expected is None else f"+{expected.margin:.0%}",
                verdict.word,
            )
        )
    return columns([("benchmark", "baseline", "now", "change", "margin", ""), *rows])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--baseline", type=Path, default=BASELINE, help="file of bench.baseline (default: the tracked one)"
    )
    parser.add_argument("--any-machine", action="store_true", help="compare with another kind of machine's baseline")
    options = parser.parse_args()
    baseline = Baseline.load(options.baseline)
    sentence = other_machine(baseline)
    if sentence is not None and not options.any_machine:
        print(sentence)
        return SKIPPED
    verdicts = check(baseline)
    print(_table(verdicts))
    then, now = baseline.machine["versions"], describe_machine()["versions"]
    changed = [f"{name} {then[name]} -> {now.get(name, 'none')}" for name in then if then[name] != now.get(name)]
    if changed:
        print(f"Since the baseline of {baseline.recorded}: {', '.join(changed)}.")
    slower = [verdict.name for verdict in verdicts if verdict.is_slower]
    if slower:
        print(f"Slower than the baseline beyond its scatter: {', '.join(slower)}.")
    missing = [verdict.name for verdict in verdicts if verdict.found is None]
    if missing:
        print(f"In the baseline and not run: {', '.join(missing)}; expected all of them, or a new baseline.")
    return 1 if slower or missing else 0


if __name__ == "__main__":
    run_main(main)
