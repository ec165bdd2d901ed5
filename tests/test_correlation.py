"""Correlation functions against sums over all pairs of sites, exact counts and closed forms."""

import numpy as np
import pytest

from fastpatch.analysis import autocorrelation, radial, radial_average, radial_correlation
from fastpatch.errors import DtypeError, InvalidInputError

SHAPES = [(6, 6), (7, 10), (10, 7), (9, 5), (1, 8), (5, 1), (1, 1), (8, 12)]


def signs(field):
    return np.where(field >= 0, 1.0, -1.0)


def pair_sums(field):
    """Sums of f_i f_j over ordered pairs in each distance bin and their numbers, one pair of sites at a time."""
    L1, L2 = field.shape
    reach = min(L1, L2) // 2
    sites = np.array([(a, b) for a in range(L1) for b in range(L2)])
    apart = np.abs(sites[:, None] - sites[None])
    apart = np.minimum(apart, [L1, L2] - apart)
    bins = np.floor(np.sqrt((apart**2).sum(-1)) + 0.5).astype(int)
    products = np.outer(field.ravel(), field.ravel())
    sums = np.array([products[bins == r].sum() for r in range(reach + 1)])
    return sums, np.array([(bins == r).sum() for r in range(reach + 1)])


def every_route(monkeypatch):
    """Run the caller's body with the matrix from the spectrum and with the inverse transform."""
    for entries in (radial._MAP_ENTRIES, 0):
        monkeypatch.setattr(radial, "_MAP_ENTRIES", entries)
        yield entries


def hard_sign_fields(L1, L2):
    """Fields whose spectra are as concentrated, as flat or as tied as spectra of signs can be."""
    rng = np.random.default_rng(3)
    i, j = np.ogrid[:L1, :L2]
    noise = rng.standard_normal((L1, L2))
    kernel = np.exp(-0.05 * (np.minimum(i, L1 - i) ** 2 + np.minimum(j, L2 - j) ** 2))
    domains = np.fft.ifft2(np.fft.fft2(noise) * np.fft.fft2(kernel)).real
    one_flipped = np.ones((L1, L2))
    one_flipped[2, 1] = -1.0
    plain = [
        np.ones((L1, L2)),
        -np.ones((L1, L2)),
        one_flipped,
        signs(noise),
        signs(domains),
        (-1.0) ** (i + j),
        np.where(i < L1 // 2, 1.0, -1.0) + 0.0 * j,
        np.where((i + 2 * j) % 7 < 3, 1.0, -1.0),
        np.where(rng.random((L1, L2)) < 0.01, 1.0, -1.0),
    ]
    return np.stack(plain)


@pytest.mark.parametrize("shape", SHAPES)
def test_autocorrelation_is_the_mean_over_shifted_products(shape):
    field = np.random.default_rng(0).standard_normal((2, *shape)) + 0.3
    expected_of = {
        (True, None): signs(field),
        (True, True): signs(field) - signs(field).mean((-2, -1), keepdims=True),
        (False, False): field,
        (False, None): field - field.mean((-2, -1), keepdims=True),
    }
    for (binarize, connected), f in expected_of.items():
        C = autocorrelation(field, binarize=binarize, connected=connected)
        assert C.shape == field.shape
        assert C.dtype == np.float64
        for a in range(shape[0]):
            for b in range(shape[1]):
                direct = (f * np.roll(f, (-a, -b), (-2, -1))).mean((-2, -1))
                np.testing.assert_allclose(C[..., a, b], direct, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("binarize", [True, False])
def test_radial_correlation_is_the_mean_over_pairs_at_that_distance(shape, binarize, monkeypatch):
    field = np.random.default_rng(1).standard_normal((3, *shape)) + 0.2
    f = signs(field) if binarize else field - field.mean((-2, -1), keepdims=True)
    expected = np.array([np.divide(*pair_sums(one)) for one in f])
    np.testing.assert_allclose(radial_average(autocorrelation(field, binarize=binarize)), expected, atol=1e-14)
    for _ in every_route(monkeypatch):
        np.testing.assert_allclose(radial_correlation(field, binarize=binarize), expected, atol=1e-14)


@pytest.mark.parametrize("shape", [(8, 8), (7, 10), (12, 9)])
def test_sign_correlations_are_exact_counts(shape, monkeypatch):
    for field in hard_sign_fields(*shape):
        sums, pairs = pair_sums(field)
        for _ in every_route(monkeypatch):
            C = radial_correlation(field)
            np.testing.assert_array_equal(C, sums / pairs)


@pytest.mark.parametrize("shape", [(80, 80), (100, 100), (99, 98), (20, 1000), (128, 128), (200, 64)])
def test_sign_correlations_do_not_depend_on_precision_route_or_batch(shape, monkeypatch):
    fields = hard_sign_fields(*shape)
    # A count is exact in float64: this is the reference without any single-precision transform.
    reference = np.array([np.fft.ifft2(np.abs(np.fft.fft2(f)) ** 2).real.round() for f in fields]) / fields[0].size
    batch = radial_correlation(fields.astype(np.float32))
    np.testing.assert_allclose(batch, radial_average(reference), rtol=0, atol=1e-14)
    for _ in every_route(monkeypatch):
        np.testing.assert_array_equal(radial_correlation(fields), batch)
        np.testing.assert_array_equal(radial_correlation(0.01 * fields.astype(np.float32)), batch)
        np.testing.assert_array_equal([radial_correlation(f) for f in fields], batch)


def test_float32_values_are_correlated_as_well_as_float64_ones():
    field = np.random.default_rng(4).standard_normal((5, 80, 80)).astype(np.float32) + np.float32(100.0)
    wide = field.astype(np.float64)
    np.testing.assert_array_equal(radial_correlation(field, binarize=False), radial_correlation(wide, binarize=False))
    single = autocorrelation(field, binarize=False)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, autocorrelation(wide, binarize=False), rtol=0, atol=1e-6)


def test_both_zeros_count_as_plus_one():
    field = np.array([[0.0, -0.0, -1.0, 1.0, 1.0]])
    np.testing.assert_array_equal(autocorrelation(field), [[1.0, 0.2, 0.2, 0.2, 0.2]])


def test_checkerboard_has_alternating_correlation_and_an_exact_zero_at_one_site():
    i, j = np.ogrid[:10, :10]
    board = (-1.0) ** (i + j)
    np.testing.assert_array_equal(autocorrelation(board), board)
    # Bin 1 holds four neighbours at -1 and, since sqrt(2) rounds to 1, four diagonal ones at +1.
    assert radial_correlation(board)[1] == 0.0


def test_plane_wave_has_a_cosine_correlation():
    L1, L2, n = 24, 30, 3
    q = 2 * np.pi * n / L1
    wave = 5.0 + np.sqrt(2.0) * np.cos(q * np.arange(L1) + 0.4)[:, None] * np.ones(L2)
    expected = np.cos(q * np.arange(L1))[:, None] * np.ones(L2)
    np.testing.assert_allclose(autocorrelation(wave, binarize=False), expected, atol=1e-13)
    np.testing.assert_allclose(
        autocorrelation(wave, binarize=False, connected=False), expected + 25.0, atol=1e-13, rtol=1e-14
    )


def test_half_plane_domains_have_a_triangular_correlation():
    L1, L2 = 16, 22
    halves = np.where(np.arange(L1) < L1 // 2, 1.0, -1.0)[:, None] * np.ones(L2)
    distance = np.minimum(np.arange(L1), L1 - np.arange(L1))
    expected = (1.0 - 4.0 * distance / L1)[:, None] * np.ones(L2)
    np.testing.assert_array_equal(autocorrelation(halves), expected)


def test_white_noise_is_uncorrelated_within_its_own_error():
    fields = np.random.default_rng(6).standard_normal((200, 40, 40)).astype(np.float32)
    C = radial_correlation(fields)
    np.testing.assert_array_equal(C[:, 0], 1.0)
    _, counts = radial.radial_bins(40, 40)
    # A bin averages n_r N products, each pair counted twice.
    score = C[:, 1:] / np.sqrt(2.0 / (counts[1:] * 1600))
    assert abs(score.mean()) < 4.0 / np.sqrt(score.size)
    assert score.std() == pytest.approx(1.0, abs=0.05)


def test_a_constant_has_no_connected_correlation():
    for value in (0.0, 0.1, -3.3e7, 1e-30):
        for dtype in (np.float32, np.float64):
            constant = np.full((7, 9), value, dtype=dtype)
            assert not autocorrelation(constant, binarize=False).any()
            assert not radial_correlation(constant, binarize=False).any()


def test_leading_axes_integers_and_empty_batches():
    fields = np.random.default_rng(7).integers(-2, 3, size=(2, 3, 6, 8))
    C = radial_correlation(fields, binarize=False)
    assert C.shape == (2, 3, 4)
    np.testing.assert_allclose(C[1, 2], radial_correlation(fields[1, 2].astype(float), binarize=False), atol=1e-14)
    assert radial_correlation(np.empty((0, 6, 8))).shape == (0, 4)
    assert autocorrelation(np.empty((0, 6, 8))).shape == (0, 6, 8)


@pytest.mark.parametrize("function", [autocorrelation, radial_correlation])
def test_what_is_refused(function):
    for bad in (np.nan, np.inf):
        field = np.ones((2, 4, 4), dtype=np.float32)
        field[1, 2, 3] = bad
        with pytest.raises(InvalidInputError, match=r"field holds (nan|inf) at index \(1, 2, 3\)"):
            function(field)
    for field in (np.ones(5), np.float64(1.0), np.ones((3, 0))):
        with pytest.raises(InvalidInputError, match="field has shape"):
            function(field)
    for field in (np.ones((4, 4), dtype=complex), np.ones((4, 4), dtype="M8[s]"), np.ones((4, 4), dtype=np.float16)):
        with pytest.raises(DtypeError, match="field has dtype"):
            function(field)
    with pytest.raises(InvalidInputError, match="squares do not overflow"):
        function(np.diag([1e200, -1e200]), binarize=False)


def test_overflow_of_the_returned_dtype_is_refused():
    field = np.diag([1e30, -1e30]).astype(np.float32)
    with pytest.raises(InvalidInputError, match="squares do not overflow"):
        autocorrelation(field, binarize=False)
    assert radial_correlation(field, binarize=False)[0] == pytest.approx(5e59)


@pytest.mark.parametrize("function", [autocorrelation, radial_correlation])
def test_booleans_are_signs(function):
    positive = np.random.default_rng(6).random((3, 6, 8)) < 0.4
    np.testing.assert_array_equal(function(positive), function(np.where(positive, 1.0, -1.0)))
