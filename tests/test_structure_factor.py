"""The structure factor against direct sums over sites, its normalisation, and its relation to other observables."""

import numpy as np
import pytest

from fastpatch.analysis import magnetization, shell_wave_numbers, structure_factor
from fastpatch.errors import DtypeError, InvalidInputError

SHAPES = [(6, 6), (7, 7), (8, 12), (12, 8), (7, 10), (5, 8), (4, 6), (1, 8), (5, 1), (1, 1)]


def direct(field):
    """S and mean |k| of every shell, one wave vector at a time; wave numbers in units of k_min."""
    L1, L2 = field.shape
    longest = max(L1, L2)
    i, j = np.mgrid[:L1, :L2]
    reach = min(longest * (L // 2) // L for L in field.shape)
    found = [[] for _ in range(reach + 1)]
    for a in range(-((L1 - 1) // 2), L1 // 2 + 1):
        for b in range(-((L2 - 1) // 2), L2 // 2 + 1):
            # Twice the length, squared, against the odd integers squared: n - 1/2 <= |k| < n + 1/2 in exact numbers.
            doubled = 4 * (a * a * longest**2 * L2**2 + b * b * longest**2 * L1**2)
            n = next(n for n in range(10**3) if doubled < (2 * n + 1) ** 2 * (L1 * L2) ** 2)
            if n <= reach:
                amplitude = (field * np.exp(-2j * np.pi * (a * i / L1 + b * j / L2))).sum()
                found[n].append((abs(amplitude) ** 2 / field.size, 2 * np.pi * np.hypot(a / L1, b / L2)))
    S, k = zip(*(np.mean(shell, axis=0) for shell in found), strict=True)
    return np.array(S), np.array(k)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_sum_over_sites_wave_vector_by_wave_vector(shape):
    fields = np.random.default_rng(1).normal(size=(2, 3, *shape)) + 0.3
    found = structure_factor(fields)
    expected, wave_numbers = direct(fields[1, 2])
    np.testing.assert_allclose(found[1, 2], expected, rtol=1e-12)
    np.testing.assert_allclose(shell_wave_numbers(shape), wave_numbers, rtol=1e-12)
    assert found.shape == (2, 3, len(expected))


def test_white_noise_is_one_in_every_shell():
    S = structure_factor(np.random.default_rng(2).normal(size=(400, 24, 36)))
    # |F|^2 of a wave vector and its negative is exponential: S of a shell of n independent ones varies by 1 / n.
    np.testing.assert_allclose(S.mean(axis=0), 1.0, atol=5.0 * np.sqrt(2.0 / 400))
    assert np.abs(S.mean() - 1.0) < 0.01


def test_filtered_noise_shows_the_filter():
    k = 2.0 * np.pi * np.hypot(np.fft.fftfreq(48)[:, None], np.fft.rfftfreq(48)[None])
    noise = np.fft.rfft2(np.random.default_rng(3).normal(size=(300, 48, 48)))
    S = structure_factor(np.fft.irfft2(noise / np.sqrt(k**2 + 0.1), s=(48, 48))).mean(axis=0)
    np.testing.assert_allclose(S, 1.0 / (shell_wave_numbers((48, 48)) ** 2 + 0.1), rtol=0.35)
    np.testing.assert_allclose(S[4:], 1.0 / (shell_wave_numbers((48, 48))[4:] ** 2 + 0.1), rtol=0.06)


def test_a_wave_has_its_power_in_its_shell():
    i = np.arange(32)[:, None]
    S = structure_factor(np.broadcast_to(np.cos(2 * np.pi * 5 * i / 32), (32, 32)))
    assert np.flatnonzero(S > 1e-12).tolist() == [5]


def test_shell_zero_is_the_magnetization():
    field = np.random.default_rng(4).normal(size=(9, 9)) + 0.5
    np.testing.assert_allclose(structure_factor(field)[0], field.size * magnetization(field) ** 2, rtol=1e-12)
    # A row has no wave vector along its side of one site but k = 0.
    assert structure_factor(field[:1]).shape == (1,)


def test_single_precision_fields_and_signs_are_summed_in_double_precision():
    fields = np.random.default_rng(5).normal(size=(3, 16, 20)).astype(np.float32)
    np.testing.assert_array_equal(structure_factor(fields), structure_factor(fields.astype(np.float64)))
    signs = fields >= 0.0
    np.testing.assert_array_equal(structure_factor(signs), structure_factor(np.where(signs, 1, -1)))


def test_bad_fields_are_refused():
    with pytest.raises(InvalidInputError, match="field has shape"):
        structure_factor(np.zeros(4))
    with pytest.raises(InvalidInputError, match="squares do not overflow"):
        structure_factor(np.full((4, 4), 1e200))
    with pytest.raises(DtypeError, match="complex128"):
        structure_factor(np.zeros((4, 4), complex))
    with pytest.raises(InvalidInputError, match=r"masked at index \(0, 1\)"):
        structure_factor(np.ma.masked_array([[1.0, 2.0]], [[0, 1]]))
