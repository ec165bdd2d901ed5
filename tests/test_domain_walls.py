"""The density of domain walls against a loop over bonds, and the patterns in which it is known."""

import numpy as np
import pytest

from fastpatch.analysis import autocorrelation, domain_wall_density
from fastpatch.errors import InvalidInputError


def loop(field):
    L1, L2 = field.shape
    walls = 0
    for i in range(L1):
        for j in range(L2):
            for a, b in ((1, 0), (0, 1)):
                walls += (field[i, j] >= 0) != (field[(i + a) % L1, (j + b) % L2] >= 0)
    return walls / (2 * L1 * L2)


@pytest.mark.parametrize("shape", [(5, 5), (4, 9), (1, 6), (2, 3), (1, 1)])
def test_it_counts_unequal_neighbours(shape):
    fields = np.random.default_rng(0).normal(size=(3, 2, *shape)).astype(np.float32)
    fields[0, 0, 0, 0] = 0.0
    expected = [[loop(field) for field in row] for row in fields]
    np.testing.assert_array_equal(domain_wall_density(fields), expected)


def test_known_patterns():
    i, j = np.ogrid[:24, :24]
    assert domain_wall_density(np.ones((24, 24))) == 0.0
    assert domain_wall_density(np.zeros((24, 24))) == 0.0
    assert domain_wall_density(np.where((i + j) % 2, 1, -1)) == 1.0
    for width in (1, 2, 3, 4, 6, 12):
        stripes = np.broadcast_to((i // width) % 2 == 0, (24, 24))
        assert domain_wall_density(stripes) == pytest.approx(1 / (2 * width))
    noise = domain_wall_density(np.random.default_rng(1).normal(size=(200, 24, 24)))
    assert noise.mean() == pytest.approx(0.5, abs=4.0 * noise.std() / np.sqrt(200))


def test_it_is_the_correlation_of_nearest_neighbours():
    field = np.random.default_rng(2).normal(size=(12, 15))
    C = autocorrelation(field)
    assert domain_wall_density(field) == pytest.approx(0.5 * (1.0 - 0.5 * (C[0, 1] + C[1, 0])), rel=1e-12)


def test_bad_fields_are_refused():
    with pytest.raises(InvalidInputError, match="holds nan"):
        domain_wall_density(np.full((4, 4), np.nan))
