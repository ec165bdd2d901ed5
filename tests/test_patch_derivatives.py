"""Exact mode derivatives and spectrum of the patch model against central differences of the explicit sums."""

import numpy as np
import oracle
import pytest
from cases import DICTIONARIES, MODELS_AND_SHAPES, SHAPES, forward_field, white_field

import fastpatch as fp
from fastpatch import theory
from fastpatch.analysis import directional_derivatives, fourier_modes

# From the smooth regime through the critical times into the one where patterns have locked.
TIMES = (0.05, 0.7, 3.2, 12.0)


def central_differences(dictionary, x, t, modes):
    def drift(fields):
        return oracle.drift(fields, t, dictionary.patterns, dictionary.prior)

    # Logits differ by alpha/sigma^2 <p_k - p_l, y>: a step that moves them by at most a tenth leaves some 1e-10 of the
    # largest derivative from truncation, and as much from rounding.
    alpha, sigma2 = np.exp(-t / 2), -np.expm1(-t)
    steepest = np.abs(dictionary.patterns).sum(axis=(1, 2)).max()
    step = min(0.05 * sigma2 / (alpha * steepest), 0.05) / np.abs(modes).max()
    return oracle.directional_derivatives(drift, x, modes, step)


def assert_close(found, expected, tolerance):
    """Every entry within ``tolerance`` of the largest derivative, the scale that v^T J v is a difference on."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize(("dictionary", "shape"), MODELS_AND_SHAPES)
def test_mode_derivatives_are_the_central_differences(dictionary, shape):
    model, shells, diagonal = fp.PatchModel(dictionary), [0, 1, 2, 5], shape[0] == shape[1]
    modes = fourier_modes(shape, shells, diagonal)
    for t in TIMES:
        x = forward_field(dictionary, shape, t, seed=1)
        found = model.mode_derivatives(x, t, shells, diagonal=diagonal)
        expected = central_differences(dictionary, x, t, modes.reshape(-1, *shape)).reshape(modes.shape[:2])
        assert_close(found, expected, 1e-7)


def test_all_seven_shells_along_both_axes_and_the_diagonal():
    dictionary, shape, t = DICTIONARIES["18 patterns"], (20, 20), 2.0
    x = white_field(shape, seed=2)
    modes = fourier_modes(shape, diagonal=True)
    expected = central_differences(dictionary, x, t, modes.reshape(-1, *shape)).reshape(7, 3)
    found = fp.PatchModel(dictionary).mode_derivatives(x, t, diagonal=True)
    assert_close(found, expected, 1e-9)
    # Direction 0 varies along axis -2: the two differ, or a swapped axis would go unseen.
    assert np.abs(found[1:, 0] - found[1:, 1]).min() > 1e-4


@pytest.mark.parametrize("shells", [(3,), (6, 0, 2), (10, 11, 25, 40)])
def test_shells_in_any_order_and_beyond_half_a_side(shells):
    # cos(2 pi n i / L) does not know n from L - n; a shell of L/2 is a mode of +-1.
    dictionary, shape = DICTIONARIES["3x3"], (20, 21)
    x = white_field(shape)
    expected = central_differences(dictionary, x, 1.0, fourier_modes(shape, shells).reshape(-1, *shape))
    found = fp.PatchModel(dictionary).mode_derivatives(x, 1.0, shells)
    assert_close(found, expected.reshape(len(shells), 2), 1e-9)


@pytest.mark.parametrize(("dictionary", "shape"), MODELS_AND_SHAPES)
def test_spectrum_and_mode_derivatives_agree(dictionary, shape):
    model, x, t = fp.PatchModel(dictionary), forward_field(dictionary, shape, 0.3), 0.3
    rows, columns = np.arange(shape[0] // 2 + 1), np.arange(shape[1] // 2 + 1)
    spectrum = model.spectrum(x, t)
    assert spectrum.shape == (shape[0], shape[1] // 2 + 1)
    assert_close(model.mode_derivatives(x, t, rows)[:, 0], spectrum[rows, 0], 1e-11)
    assert_close(model.mode_derivatives(x, t, columns)[:, 1], spectrum[0, columns], 1e-11)
    if shape[0] == shape[1]:
        diagonal = model.mode_derivatives(x, t, columns, diagonal=True)[:, 2]
        assert_close(diagonal, spectrum[columns, columns], 1e-11)


@pytest.mark.parametrize("name", ["18 patterns", "real-valued", "unbalanced flips", "7x7"])
@pytest.mark.parametrize("shape", [SHAPES["odd"], SHAPES["even"], (9, 14)])
def test_spectrum_along_random_wave_vectors_is_the_central_difference(name, shape):
    dictionary, rng = DICTIONARIES[name], np.random.default_rng(3)
    waves = np.stack([rng.integers(0, shape[0], 12), rng.integers(0, shape[1] // 2 + 1, 12)], axis=1)
    # The corners of the Brillouin zone, where cos is +-1 on every site.
    waves[:3] = [0, shape[1] // 2], [shape[0] // 2, 0], [shape[0] // 2, shape[1] // 2]
    modes = np.stack([oracle.cosine_mode(shape, *wave) for wave in waves])
    for t in (0.3, 3.2):
        x = forward_field(dictionary, shape, t, seed=4)
        found = fp.PatchModel(dictionary).spectrum(x, t)[tuple(waves.T)]
        assert_close(found, central_differences(dictionary, x, t, modes), 1e-7)


@pytest.mark.parametrize("name", sorted(DICTIONARIES))
@pytest.mark.parametrize("t", [0.8, 3.2, 6.0])
def test_spectrum_at_zero_is_the_mean_field_dispersion(name, t):
    dictionary, (L1, L2) = DICTIONARIES[name], (12, 14)
    k = 2 * np.pi * np.stack(np.meshgrid(np.fft.fftfreq(L1), np.fft.rfftfreq(L2), indexing="ij"), axis=-1)
    expected = theory.dispersion(k, t, dictionary=dictionary)
    spectrum = fp.PatchModel(dictionary).spectrum(np.zeros((L1, L2)), t)
    np.testing.assert_allclose(spectrum, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("name", sorted(DICTIONARIES))
def test_every_mode_decays_with_rate_one_half_before_the_data_are_felt(name):
    model, x = fp.PatchModel(DICTIONARIES[name]), white_field((14, 16))
    np.testing.assert_allclose(model.mode_derivatives(x, 50.0), 0.5, rtol=0, atol=1e-9)
    np.testing.assert_allclose(model.spectrum(x, 50.0), 0.5, rtol=0, atol=1e-9)


@pytest.mark.parametrize("t", [1e-3, 0.1])
def test_locked_fields_relax_onto_their_pattern_with_the_rate_of_the_noise(t):
    # Inside a domain one pattern has all the weight, the data term is flat, and lambda = 1/sigma^2 - 1/2.
    model = fp.PatchModel(DICTIONARIES["18 patterns"])
    x = np.full((16, 16), np.exp(-t / 2))
    np.testing.assert_allclose(model.mode_derivatives(x, t), -1 / np.expm1(-t) - 0.5, rtol=1e-6)


def test_own_finite_differences_agree_with_the_exact_derivatives():
    # The paper's method on the same model, in float64: two ways through the public interface.
    model, t = fp.PatchModel(DICTIONARIES["18 patterns"]), 2.5
    x = white_field((18, 18), batch=(2,), seed=8)
    found = directional_derivatives(lambda y: model.drift(y, t), x, fourier_modes((18, 18), range(4)), 1e-3)
    np.testing.assert_allclose(found, model.mode_derivatives(x, t, range(4)), rtol=0, atol=1e-7)


@pytest.mark.parametrize("rate", [0.4, lambda t: 1.0 + 0.2 * t], ids=["0.4", "1 + 0.2 t"])
def test_derivatives_under_another_noise_rate(rate):
    dictionary, t = DICTIONARIES["3x3"], 1.4
    model = fp.PatchModel(dictionary, schedule=fp.VPSchedule(rate))
    x = white_field((12, 12))
    modes = fourier_modes((12, 12), range(3))
    found = directional_derivatives(lambda y: model.drift(y, t), x, modes, 1e-3)
    np.testing.assert_allclose(found, model.mode_derivatives(x, t, range(3)), rtol=0, atol=1e-6)


def test_float32_derivatives_are_the_float64_ones_rounded():
    model = fp.PatchModel(DICTIONARIES["18 patterns"])
    x = forward_field(model.dictionary, SHAPES["even"], 0.05).astype(np.float32)
    for method in (model.mode_derivatives, model.spectrum):
        found, expected = method(x, 0.05), method(x.astype(np.float64), 0.05)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected.astype(np.float32))
