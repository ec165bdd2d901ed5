"""Run the suite, print its table and store it in today's results."""

import sys

from bench.console import run_main
from bench.machine import describe_machine, machine_title
from bench.results import store
from bench.suite import ROOT, as_json, run_suite, table


def main() -> None:
    arguments = sys.argv[1:] or ["bench"]
    records = run_suite(arguments)
    machine = describe_machine()
    print(table(records))
    load = ", ".join(f"{value:.2f}" for value in machine["load"])
    print(f"\n{machine_title(machine['kind'])}, {machine['cores']} cores, load {load}; ratio: to the yardstick")
    # A part of the suite does not take the place of the whole.
    section = "suite" if len(sys.argv) == 1 else "part of the suite"
    print(f"written to {store(section, as_json(records)).relative_to(ROOT)}")


if __name__ == "__main__":
    run_main(main)
