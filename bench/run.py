"""Run the suite or a part of it, print its table and store it in today's results."""

import argparse

from bench.console import run_main
from bench.machine import describe_machine, machine_title
from bench.results import store
from bench.suite import ROOT, as_json, run_suite, table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("-k", dest="name", metavar="NAME", help="only benchmarks that pytest -k selects, as: -k step")
    parser.add_argument("paths", nargs="*", default=["bench"], help="only those in these files (default: all)")
    options = parser.parse_args()
    named = [] if options.name is None else ["-k", options.name]
    records = run_suite([*options.paths, *named])
    machine = describe_machine()
    print(table(records))
    load = ", ".join(f"{value:.2f}" for value in machine["load"])
    print(f"\n{machine_title(machine['kind'])}, {machine['cores']} cores, load {load}; ratio: to the yardstick")
    # A part of the suite does not take the place of the whole.
    section = "suite" if options.paths == ["bench"] and not named else "part of the suite"
    print(f"written to {store(section, as_json(records)).relative_to(ROOT)}")


if __name__ == "__main__":
    run_main(main)
