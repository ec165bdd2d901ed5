"""What a user waits for before anything is computed, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Every kernel that `fastpatch patch` uses, on next to no data: the rest is importing, loading or compiling.
_FIRST_RUN = """
import fastpatch as fp
fp.simulate(fp.PatchModel(fp.PatchDictionary.random()), (8, 8), 1, fp.log_time_grid(3.0, steps=3), snapshots=0)
"""


def _run(*arguments: str, cache: Path | None = None) -> None:
    environment = dict(os.environ) if cache is None else {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    subprocess.run([sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)


@pytest.mark.parametrize(
    "arguments", [("-c", "import fastpatch"), ("-m", "fastpatch", "--help")], ids=["import", "--help"]
)
def test_start(measure: Any, arguments: tuple[str, ...]) -> None:
    measure(lambda: _run(*arguments), seconds=3.0)


def test_first_run_with_compiled_kernels(measure: Any, tmp_path: Path) -> None:
    _run("-c", _FIRST_RUN, cache=tmp_path)
    measure(lambda: _run("-c", _FIRST_RUN, cache=tmp_path), seconds=8.0)


def test_first_run_compiles_the_kernels(measure: Any, tmp_path: Path) -> None:
    caches = (tmp_path / str(number) for number in range(10))
    measure(lambda: _run("-c", _FIRST_RUN, cache=next(caches)), rounds=2)
