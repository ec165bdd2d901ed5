"""Fourier modes and central differences against drifts whose derivative is known exactly."""

import numpy as np
import pytest

from fastpatch.analysis import (
    directional_derivatives,
    distinct_modes,
    finite_difference_step,
    fourier_modes,
    shell_average,
)
from fastpatch.errors import DtypeError, InvalidInputError


@pytest.mark.parametrize("shape", [(14, 14), (13, 20), (17, 12)])
def test_modes_are_orthonormal(shape):
    highest = min(shape) // 2
    modes = fourier_modes(shape, range(1, highest + 1), diagonal=True)
    assert modes.shape == (highest, 3, *shape)
    flat = modes.reshape(3 * highest, -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(3 * highest), atol=1e-13)


def test_modes_are_the_cosines_of_eqs_47_and_48_along_their_axes():
    L1, L2 = 10, 16
    modes = fourier_modes((L1, L2), (0, 3, 2), diagonal=True)
    np.testing.assert_allclose(modes[0], 1.0 / np.sqrt(L1 * L2), rtol=1e-14)
    for i in range(L1):
        for j in range(L2):
            for row, n in ((1, 3), (2, 2)):
                phases = (n * i / L1, n * j / L2, n * i / L1 + n * j / L2)
                expected = [np.cos(2 * np.pi * phase) * np.sqrt(2.0 / (L1 * L2)) for phase in phases]
                np.testing.assert_allclose(modes[row, :, i, j], expected, atol=1e-14)


@pytest.mark.parametrize(("shells", "diagonal", "count"), [(range(7), False, 13), ([3, 0, 1], True, 7), ([2], True, 3)])
def test_distinct_modes_are_all_modes_once(shells, diagonal, count):
    modes, position = distinct_modes((14, 16), shells, diagonal)
    assert len(modes) == count
    np.testing.assert_array_equal(modes[position], fourier_modes((14, 16), shells, diagonal))


def test_default_modes_and_aliasing():
    assert fourier_modes((80, 80)).shape == (7, 2, 80, 80)
    modes = fourier_modes((8, 8), (3, 5))
    np.testing.assert_allclose(modes[0], modes[1], atol=1e-14)
    np.testing.assert_allclose(np.linalg.norm(fourier_modes((8, 9), (4, 7), True), axis=(-2, -1)), 1.0, rtol=1e-14)


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_linear_drift_gives_its_quadratic_form(lead):
    shape, rng = (5, 6), np.random.default_rng(0)
    A = rng.standard_normal((30, 30))
    x = rng.standard_normal((*lead, *shape))
    modes = fourier_modes(shape, range(3), diagonal=True)

    def drift(field):
        assert field.shape == x.shape
        return 4.0 + (field.reshape(*lead, 30) @ A.T).reshape(field.shape)

    found = directional_derivatives(drift, x, modes, 1e-2)
    assert found.shape == (*lead, 3, 3)
    v = modes.reshape(3, 3, 30)
    np.testing.assert_allclose(found, np.broadcast_to(np.einsum("sdi,ij,sdj->sd", v, A, v), found.shape), atol=1e-11)


def test_translation_invariant_drift_has_its_symbol_as_derivative():
    # The Laplacian of the lattice: eigenvalue 2 cos q - 2 a direction, for every mode.
    L1, L2 = 12, 18

    def laplacian(x):
        return sum(np.roll(x, s, axis) for s in (1, -1) for axis in (-2, -1)) - 4.0 * x

    shells = np.arange(6)
    q1, q2 = 2 * np.pi * shells / L1, 2 * np.pi * shells / L2
    x = np.random.default_rng(1).standard_normal((L1, L2))
    found = directional_derivatives(laplacian, x, fourier_modes((L1, L2), shells, True), 1e-3)
    along = 2 * np.cos(q1) - 2, 2 * np.cos(q2) - 2
    np.testing.assert_allclose(found, np.stack([*along, along[0] + along[1]], axis=-1), atol=1e-10)


def test_error_of_the_central_difference_is_of_second_order():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((8, 8))
    v = fourier_modes((8, 8), (1,))[0, 0]
    # For a cubic drift the truncation error is eps^2 sum v^4 and nothing else.
    exact = 3.0 * np.sum(v**2 * x**2)
    for eps in (0.5, 0.25, 0.125):
        found = directional_derivatives(lambda x: x**3, x, v, eps)
        assert found.shape == ()
        assert found - exact == pytest.approx(eps**2 * np.sum(v**4), rel=1e-9)


def test_values_scale_with_the_squared_norm_of_the_mode():
    x = np.random.default_rng(3).standard_normal((6, 6))
    v = fourier_modes((6, 6), (1, 2))
    small, large = (directional_derivatives(np.sin, x, scale * v, 1e-4) for scale in (1.0, 2.0))
    np.testing.assert_allclose(large, 4.0 * small, rtol=1e-6)


def test_float32_fields_stay_float32_and_keep_a_few_digits():
    x = np.random.default_rng(4).standard_normal((2, 80, 80)).astype(np.float32)

    def drift(field):
        assert field.dtype == np.float32
        return np.tanh(field)

    modes = fourier_modes((80, 80), (0, 1))
    found = directional_derivatives(drift, x, modes, 1e-3)
    v2 = modes**2
    exact = np.einsum("sdij,bij->bsd", v2, 1.0 - np.tanh(x.astype(np.float64)) ** 2)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, exact, rtol=0.05)


def test_step_of_the_paper():
    assert finite_difference_step(1.0) == 1e-3
    assert finite_difference_step(1e-3) == 5e-5
    np.testing.assert_array_equal(finite_difference_step([0.05, 0.5, 0.0]), [5e-5, 5e-4, 5e-5])
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(InvalidInputError, match="sigma2"):
            finite_difference_step(bad)
    with pytest.raises(DtypeError, match="sigma2"):
        finite_difference_step("large")


def test_shell_average_is_the_mean_over_directions():
    values = np.arange(12.0).reshape(2, 3, 2)
    np.testing.assert_array_equal(shell_average(values), values.mean(-1))
    for bad in (np.ones(3), np.ones((3, 0))):
        with pytest.raises(InvalidInputError, match="n_directions"):
            shell_average(bad)


def test_what_is_refused():
    x, modes = np.zeros((6, 6)), fourier_modes((6, 6), (0, 1))
    for eps in (0.0, -1e-3, np.nan):
        with pytest.raises(InvalidInputError, match="eps"):
            directional_derivatives(np.sin, x, modes, eps)
    with pytest.raises(InvalidInputError, match="modes live on a lattice"):
        directional_derivatives(np.sin, np.zeros((6, 7)), modes, 1e-3)
    with pytest.raises(InvalidInputError, match=r"drift\(x\) has shape \(5, 6\)"):
        directional_derivatives(lambda x: x[1:], x, modes, 1e-3)
    with pytest.raises(InvalidInputError, match=r"drift\(x\) holds nan"):
        directional_derivatives(lambda x: np.full_like(x, np.nan), x, modes, 1e-3)
    with pytest.raises(InvalidInputError, match="x holds inf"):
        directional_derivatives(np.sin, np.full((6, 6), np.inf), modes, 1e-3)
    with pytest.raises(DtypeError, match="x has dtype int64"):
        directional_derivatives(np.sin, np.zeros((6, 6), dtype=np.int64), modes, 1e-3)
    for shells in ([], [1, 1], [-1]):
        with pytest.raises(InvalidInputError):
            fourier_modes((6, 6), shells)
    with pytest.raises(InvalidInputError, match="shape"):
        fourier_modes((6,))
