"""What one core of this machine can do, measured, and how far the patch step is from it.

Operations a site are counted from the algorithm where logits are small, as at the critical time: +- pairs share a dot
product and the two halves of a power, equal pattern rows share a correlation, priors are factors of the sums. A stage's
time "at the peak" is the sum over its operations at the rates of `bench.peaks`; loads and stores between stages are not
counted. Classes of operations that a CPU executes side by side can make a kernel faster than that sum, so 100 % is a
yardstick and not a law.
"""

import argparse
from dataclasses import dataclass
from typing import Any

from bench.cases import CRITICAL, SEED, evolved_field, patch_model, stepper
from bench.console import columns, run_main
from bench.peaks import RATES, measure_rates, shortest
from bench.results import store
from bench.suite import ROOT
from fastpatch.kernels.plan import PatchPlan
from fastpatch.noise import standard_normals
from fastpatch.threads import available_threads, thread_limit

__all__ = ["Stage", "stages"]


@dataclass(frozen=True)
class Stage:
    """Operations a site of one stage of the step, by the name of their rate."""

    name: str
    operations: dict[str, float]

    def at_peak(self, rates: dict[str, float]) -> float:
        """Nanoseconds a site."""
        return sum(count / rates[kind] for kind, count in self.operations.items())


def stages(plan: PatchPlan) -> list[Stage]:
    """The step's operations a site: eqs. 36-38 and 40 with +- pairs, and Threefry-4x32-20 with Box-Muller."""
    distinct_rows, size = plan.rows.shape
    units, pairs = len(plan.patterns), plan.n_pairs
    singles = units - pairs
    # The sixteen sums a ± b ± c ± d ± e of five neighbours come from four of two, eight of four, and one addition each.
    rows = {"add, max, abs": 4.0 + 8 + 16} if plan.binary else {"multiply-add": float(distinct_rows * size)}
    return [
        Stage("row correlations", rows),
        Stage("logits", {"multiply-add": units * size}),
        # z = n + f, the polynomials of f, their sum and difference scaled by 2^n and 2^-n, and the two sums over units.
        Stage(
            "weights",
            {
                "multiply-add": 8 * pairs + 8 * singles,
                "add, max, abs": 7 * pairs + 4 * singles,
                "integer": 3 * pairs + 2 * singles,
            },
        ),
        Stage("mean and update", {"multiply-add": 3, "divide": 1}),
        # A block of four words: 20 rounds of two mixings (add, rotate, xor), six injections of the key. Each two words
        # make two normals: a logarithm, a square root (as dear as a division), a sine and a cosine.
        Stage("noise", {"integer": (20 * 2 * 3 + 6 * 5) / 4 + 14 / 2, "multiply-add": 31 / 2, "divide": 1 / 2}),
    ]


def _measured_step(side: int, threads: int) -> float:
    """Nanoseconds a site and step, the shortest of many calls."""
    x = evolved_field(CRITICAL, side)
    steps = max(1, 2**18 // x.size)
    reset, advance = stepper(x, CRITICAL, steps)
    with thread_limit(threads):
        return 1e9 * shortest(advance, calls=10 if side > 1024 else 40, reset=reset) / (steps * x.size)


def _report() -> dict[str, Any]:
    """Rates, the stages at the peak, and the measured kernels beside their bounds."""
    rates = measure_rates()
    counted = stages(patch_model().plan)
    arithmetic = sum(stage.at_peak(rates) for stage in counted)
    with thread_limit(1):
        noise = 1e9 * shortest(lambda: standard_normals((1, 512, 512), seed=SEED)) / 512**2
    kernels = {"noise": {"at_peak": counted[-1].at_peak(rates), "memory": 0.0, "measured": noise}}
    for side in (80, 1024, 4096):
        for threads in range(1, min(2, available_threads()) + 1):
            # The old field is read and the new one written once; smaller lattices stay in the last-level cache.
            memory = 8.0 / rates[f"triad, {threads} thread(s)"] if side > 1024 else 0.0
            kernels[f"step, {side}x{side}, {threads} thread(s)"] = {
                "at_peak": arithmetic / threads,
                "memory": memory,
                "measured": _measured_step(side, threads),
            }
    return {
        "rates": rates,
        "stages": {stage.name: {**stage.operations, "at_peak": stage.at_peak(rates)} for stage in counted},
        "kernels": kernels,
    }


def _tables(report: dict[str, Any]) -> str:
    rates = [("peak of one thread", "per ns"), *((name, f"{rate:.1f}") for name, rate in report["rates"].items())]
    kinds = [name for name in RATES if any(name in stage for stage in report["stages"].values())]
    counted = [
        ("operations a site", *kinds, "ns at the peak"),
        *(
            (name, *(f"{stage.get(kind, 0):g}" for kind in kinds), f"{stage['at_peak']:.2f}")
            for name, stage in report["stages"].items()
        ),
    ]
    stand = [
        ("kernel", "ns a site at the peak", "by memory", "measured", "of the peak"),
        *(
            (
                name,
                f"{kernel['at_peak']:.2f}",
                f"{kernel['memory']:.2f}",
                f"{kernel['measured']:.2f}",
                f"{max(kernel['at_peak'], kernel['memory']) / kernel['measured']:.0%}",
            )
            for name, kernel in report["kernels"].items()
        ),
    ]
    return "\n\n".join(columns(rows) for rows in (rates, counted, stand))


def main() -> None:
    argparse.ArgumentParser(prog="python -m bench.roofline", description=__doc__).parse_args()
    report = _report()
    print(_tables(report))
    print(f"\nwritten to {store('roofline', report).relative_to(ROOT)}")


if __name__ == "__main__":
    run_main(main)
