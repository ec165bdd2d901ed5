"""What a patch model computes of one state, and the noise."""

from typing import Any

import pytest

from bench.cases import CRITICAL, SEED, evolved_field, patch_model
from fastpatch.noise import standard_normals

_FIELDS = pytest.mark.parametrize(("trajectories", "side"), [(4, 80), (1, 1024)], ids=["4x80x80", "1x1024x1024"])


@_FIELDS
@pytest.mark.parametrize("method", ["posterior_mean", "score", "mode_derivatives"])
def test_model(measure: Any, threads: int, method: str, trajectories: int, side: int) -> None:
    x = evolved_field(CRITICAL, side, trajectories)
    compute = getattr(patch_model(), method)
    measure(lambda: compute(x, CRITICAL), site_steps=x.size)


@pytest.mark.parametrize("side", [80, 512], ids=["80x80", "512x512"])
def test_spectrum(measure: Any, threads: int, side: int) -> None:
    x = evolved_field(CRITICAL, side)[0]
    measure(lambda: patch_model().spectrum(x, CRITICAL), site_steps=x.size)


@pytest.mark.parametrize("threads", [1, 2], indirect=True, ids=["1 thread", "2 threads"])
def test_noise(measure: Any, threads: int) -> None:
    shape = (1, 1024, 1024)
    measure(lambda: standard_normals(shape, seed=SEED), site_steps=1024**2)
