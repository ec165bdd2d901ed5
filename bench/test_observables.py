"""Correlation lengths of recorded fields, and the equilibrium length from the mode derivatives of a run."""

from typing import Any

import numpy as np
import pytest

from bench.cases import evolved_field
from fastpatch.analysis import correlation_length, fit_equilibrium_length

_LATE = 0.1


@pytest.mark.parametrize(("trajectories", "side"), [(64, 80), (1, 1024)], ids=["64x80x80", "1x1024x1024"])
@pytest.mark.parametrize("binarize", [True, False], ids=["sign field", "connected"])
def test_correlation_length(measure: Any, threads: int, binarize: bool, trajectories: int, side: int) -> None:
    x = evolved_field(_LATE, side, trajectories)
    measure(lambda: correlation_length(x, binarize=binarize), site_steps=x.size)


def test_fit_equilibrium_length(measure: Any, threads: int) -> None:
    # As many dispersions as a run of four trajectories and 2000 steps records: lambda_n = lambda_0 (1 + xi^2 k^2).
    k_min = 2.0 * np.pi / 80
    lambda_0 = np.linspace(0.5, 0.01, 4 * 2001).reshape(4, 2001, 1)
    lam = lambda_0 * (1.0 + (3.0 * k_min * np.arange(7)) ** 2)
    measure(lambda: fit_equilibrium_length(lam, k_min))
