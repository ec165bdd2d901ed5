"""The layers of the package are a contract that import-linter holds: the tree keeps it, an upward import breaks it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter", reason="import-linter is not installed; it comes with the extra `lint`")

ROOT = Path(__file__).resolve().parent.parent


def checked(tree):
    """What ``lint-imports`` says of a tree."""
    lint = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(tree), "NO_COLOR": "1"}
    return subprocess.run(
        [lint, "--no-cache"], cwd=tree, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def tree(tmp_path):
    """A copy of the package's sources, with its mapped folders in their places."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    only_sources = shutil.ignore_patterns("__pycache__", "pretrained", "analysis", "neural")
    shutil.copytree(ROOT / "fastpatch", tmp_path / "fastpatch", ignore=only_sources)
    for folder in ("analysis", "neural"):
        leave = shutil.ignore_patterns("__pycache__", "pretrained")
        shutil.copytree(ROOT / folder, tmp_path / "fastpatch" / folder, ignore=leave)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (None, ""),
        ("kernels/plan.py", "from ..models import PatchModel"),
        ("models/patch.py", "def hidden():\n    from ..runs.simulation import simulate"),
        ("analysis/modes.py", "from ..theory import critical_time"),
        ("neural/sampler.py", "def hidden():\n    from ..cli import main"),
    ],
)
def test_layers_hold_and_an_upward_import_is_found(tree, file, line):
    if file is not None:
        with (tree / "fastpatch" / file).open("a") as source:
            source.write(f"\n\n{line}\n")
    done = checked(tree)
    assert (done.returncode == 0) == (file is None), done.stdout + done.stderr
    if file is not None:
        assert "BROKEN" in done.stdout
        assert f"fastpatch.{file.removesuffix('.py').replace('/', '.')}" in done.stdout
