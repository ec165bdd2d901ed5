"""The newest run of the suite as github-action-benchmark's "customSmallerIsBetter" entries.

Values are ratios to the yardstick, which shared runners of different speed can share. A name ends with the CPU that the
code was compiled for and its vector width, so that only runs on one kind of machine are compared.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from bench.console import duration, run_main
from bench.machine import machine_title
from bench.results import latest
from bench.suite import Record, from_json

__all__ = ["entries"]


def entries(records: list[Record], kind: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry a benchmark: the ratio, how far the median lies above it, and the time for orientation."""
    return [
        {
            "name": f"{record.name} ({kind['target']}, {kind['vector_bits']} bit)",
            "unit": "yardsticks",
            "value": float(f"{record.ratio:.5g}"),
            "range": f"+{(record.median - record.minimum) / record.calibration:.3g}",
            "extra": f"{duration(record.minimum)} at least, {duration(record.median)} median, {machine_title(kind)}",
        }
        for record in records
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.publish", description=__doc__)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    section = latest("suite", of_this_machine=True)
    found = entries(from_json(section["content"]), section["machine"]["kind"])
    options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    run_main(main)
