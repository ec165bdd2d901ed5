"""Correlation lengths: their definition, closed forms, symmetries and degenerate fields."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import j0, jn_zeros

from fastpatch.analysis import (
    autocorrelation,
    correlation_length,
    length_from_correlation,
    radial_average,
    radial_correlation,
)
from fastpatch.errors import DtypeError, InvalidInputError

ESTIMATORS = ["first-moment", "second-moment"]
NONZERO = st.one_of(st.floats(2.0**-7, 2.0**10, width=32), st.floats(-(2.0**10), -(2.0**-7), width=32))
SIDES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14)
FIELDS = hnp.arrays(np.float32, SIDES, elements=NONZERO)


def length_by_loop(C, estimator, positive):
    """The sums of eq. 45 and of App. E.3, bin by bin."""
    numerator = denominator = 0.0
    for r, value in enumerate(C):
        if value <= 1e-12 * C[0]:
            if positive == "first-lobe":
                break
            continue
        numerator += value * (r if estimator == "first-moment" else r * r)
        denominator += value
    if denominator == 0.0:
        return 0.0
    return numerator / denominator if estimator == "first-moment" else np.sqrt(numerator / denominator)


@pytest.mark.parametrize("positive", ["first-lobe", "clip"])
@pytest.mark.parametrize("binarize", [True, False])
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("shape", [(12, 12), (11, 18), (130, 120)])
def test_length_is_the_moment_of_the_positive_portion(shape, estimator, binarize, positive):
    rng = np.random.default_rng(0)
    fields = rng.standard_normal((6, *shape))
    fields[3:] += sum(np.roll(fields[3:], (a, b), (-2, -1)) for a in range(3) for b in range(3))
    expected = [
        length_by_loop(C, estimator, positive) for C in radial_average(autocorrelation(fields, binarize=binarize))
    ]
    found = correlation_length(fields, estimator, binarize, positive)
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    if positive == "first-lobe":
        assert (found[3:] > found[:3].max()).all()


def test_lobe_ends_at_an_exact_zero():
    i, j = np.ogrid[:10, :10]
    assert correlation_length((-1.0) ** (i + j)) == 0.0
    assert correlation_length((-1.0) ** (i + j), positive="clip") > 0.0
    C = np.array([1.0, 0.5, 0.0, 0.5, 0.5])
    assert length_from_correlation(C) == pytest.approx(1.0 / 3.0)
    assert length_from_correlation(C, positive="clip") == pytest.approx(4.0 / 2.5)


def test_exponential_correlation_has_geometric_sums():
    q = np.exp(-1.0 / np.array([0.5, 3.0, 10.0]))
    C = q[:, None] ** np.arange(400)
    # The sums end where C falls below 1e-12 C(0), which counts as zero.
    np.testing.assert_allclose(length_from_correlation(C), q / (1 - q), rtol=1e-9)
    np.testing.assert_allclose(length_from_correlation(C, "second-moment"), np.sqrt(q * (1 + q)) / (1 - q), rtol=1e-8)


def test_plane_wave_has_the_length_of_the_first_bessel_lobe():
    L = 240
    q = 2 * np.pi / L
    wave = np.cos(q * np.arange(L))[:, None] * np.ones(L)
    C = radial_correlation(wave, binarize=False)
    # The angular average of the cosine is C(r) = J0(q r) / 2, up to the graininess of a ring of lattice sites.
    r = np.arange(len(C) - 1)
    bessel = j0(q * r)
    np.testing.assert_allclose(C[:-1], 0.5 * bessel, atol=5e-3)
    lobe = q * r < jn_zeros(0, 1)
    assert lobe.sum() < len(r)
    expected = np.sum((r * bessel)[lobe]) / np.sum(bessel[lobe])
    assert correlation_length(wave, binarize=False) == pytest.approx(expected, rel=2e-3)


def test_wider_domains_are_longer():
    L = 80
    xi = [
        correlation_length(np.where(np.arange(L) % (2 * width) < width, 1.0, -1.0)[:, None] * np.ones(L))
        for width in (2, 4, 8, 20)
    ]
    assert np.all(np.diff(xi) > 0.0)


def test_white_noise_is_close_to_zero_only_for_the_first_lobe():
    noise = np.random.default_rng(2).standard_normal((100, 80, 80)).astype(np.float32)
    assert correlation_length(noise).mean() < 0.03
    assert 0.3 < correlation_length(noise, positive="clip").mean() < 0.7


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (6, 6), (80, 80), (7, 30), (300, 310)])
def test_degenerate_fields_have_defined_lengths(shape):
    R = min(shape) // 2
    for uniform in (np.ones(shape), -np.ones(shape, dtype=np.float32), np.zeros(shape)):
        for positive in ("first-lobe", "clip"):
            assert correlation_length(uniform, positive=positive) == pytest.approx(R / 2)
            second = correlation_length(uniform, "second-moment", positive=positive)
            assert second == pytest.approx(np.sqrt(R * (2 * R + 1) / 6))
        for estimator in ESTIMATORS:
            assert correlation_length(0.1 * uniform, estimator, binarize=False) == 0.0


@settings(max_examples=150, deadline=None)
@given(field=FIELDS, shift=st.tuples(st.integers(-20, 20), st.integers(-20, 20)), estimator=st.sampled_from(ESTIMATORS))
def test_sign_length_is_exactly_invariant(field, shift, estimator):
    xi = correlation_length(field, estimator)
    assert xi >= 0.0
    for moved in (
        np.roll(field, shift, axis=(0, 1)),
        -field,
        field[::-1],
        field[:, ::-1],
        field.T,
        7.0 * field,
        field.astype(np.float64),
    ):
        assert correlation_length(moved, estimator) == xi


@settings(max_examples=100, deadline=None)
@given(field=FIELDS, shift=st.tuples(st.integers(-20, 20), st.integers(-20, 20)), estimator=st.sampled_from(ESTIMATORS))
def test_connected_length_is_invariant(field, shift, estimator):
    # The clipped sum is a continuous function of C, so that rounding cannot move the end of a lobe.
    def length(f):
        return correlation_length(f, estimator, binarize=False, positive="clip")

    field = field.astype(np.float64)
    xi = length(field)
    for moved in (np.roll(field, shift, axis=(0, 1)), -field, field[::-1], field.T, 7.0 * field, field + 3.0):
        assert length(moved) == pytest.approx(xi, rel=1e-6, abs=1e-5)


def test_shape_and_type_of_the_result():
    field = np.random.default_rng(3).standard_normal((2, 3, 8, 10)).astype(np.float32)
    found = correlation_length(field)
    assert found.shape == (2, 3)
    assert found.dtype == np.float64
    single = correlation_length(field[1, 2])
    assert isinstance(single, float)
    assert single == found[1, 2]
    assert correlation_length(np.empty((0, 8, 10))).shape == (0,)
    assert length_from_correlation(radial_correlation(field[1, 2]).astype(np.float32)) == pytest.approx(
        single, rel=1e-6
    )


def test_what_is_refused():
    field = np.ones((8, 8))
    with pytest.raises(InvalidInputError, match="estimator is 'third-moment'; expected one of 'first-moment'"):
        correlation_length(field, "third-moment")
    with pytest.raises(InvalidInputError, match="positive is 'abs'"):
        correlation_length(field, positive="abs")
    with pytest.raises(InvalidInputError, match="holds nan"):
        correlation_length(np.full((8, 8), np.nan))
    with pytest.raises(DtypeError, match="complex"):
        correlation_length(field.astype(complex))
    with pytest.raises(InvalidInputError, match="C holds nan"):
        length_from_correlation(np.array([1.0, np.nan]))
    with pytest.raises(InvalidInputError, match="estimator"):
        length_from_correlation(np.ones(3), "none")
