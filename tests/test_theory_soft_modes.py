"""App. B: kernels, probing, and the class of instability for spectra whose maxima are known."""

import itertools

import numpy as np
import pytest

import fastpatch as fp
from fastpatch import theory
from fastpatch.errors import InvalidInputError

LAPLACIAN = np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


def zone(*shape):
    frequencies = [2 * np.pi * np.fft.fftfreq(side) for side in shape]
    return np.stack(np.meshgrid(*frequencies, indexing="ij"), axis=-1)


def turing(q, anisotropy):
    """Growth with maxima of height 0 at (+-q, 0) and (0, +-q): -(D(k) - D(q))^2 less a penalty off the axes."""
    bands = 2.0 - 2.0 * np.cos(zone(16, 16))
    return -((bands.sum(axis=-1) - (2.0 - 2.0 * np.cos(q))) ** 2) - anisotropy * bands.prod(axis=-1)


def test_symbol_is_the_direct_sum_with_u_zero_at_the_centre():
    kernel = np.random.default_rng(0).normal(size=(3, 5))
    k = np.array([0.7, -1.9])
    direct = sum(
        kernel[u, v] * np.exp(1j * (k[0] * (u - 1) + k[1] * (v - 2))) for u, v in itertools.product(range(3), range(5))
    )
    assert theory.kernel_symbol(kernel, k) == pytest.approx(direct, rel=1e-12)


@pytest.mark.parametrize("shape", [(7,), (8,), (6, 9), (4, 5, 6)])
def test_kernel_from_dispersion_interpolates_the_given_values(shape):
    rng = np.random.default_rng(1)
    values = np.fft.fftn(rng.normal(size=shape)).real
    kernel = theory.kernel_from_dispersion(values)
    assert kernel.shape == tuple(side + 1 - side % 2 for side in shape)
    np.testing.assert_allclose(theory.kernel_symbol(kernel, zone(*shape)), values, atol=1e-10)


@pytest.mark.parametrize("shape", [(5, 5), (6, 7)])
def test_impulse_recovers_any_linear_kernel_exactly(shape):
    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(3, 5))

    def drift(x, t):
        total = np.zeros_like(x)
        for u, v in itertools.product(range(3), range(5)):
            total += t * kernel[u, v] * np.roll(x, (1 - u, 2 - v), (0, 1))
        return total

    found = theory.impulse_kernel(drift, 2.0, shape)
    k = rng.normal(size=(4, 2))
    np.testing.assert_allclose(theory.kernel_symbol(found, k), 2.0 * theory.kernel_symbol(kernel, k), atol=1e-10)


def test_impulse_linearises_the_local_score_to_second_order_in_the_step():
    def drift(x, t):
        return -0.5 * x - theory.score_eq12(x, t, K=1)

    exact = theory.drift_kernel(1.0, fp.PatchDictionary.random(n_random=0, uniform_mass=1.0, size=3))
    errors = [np.abs(theory.impulse_kernel(drift, 1.0, (3, 3), step=e) - exact).max() for e in (0.02, 0.01)]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.02)
    np.testing.assert_allclose(theory.impulse_kernel(drift, 1.0, (3, 3)), exact, atol=1e-6)


def test_ferromagnet_is_scalar_phi4_and_antiferromagnet_modulated():
    uniform = theory.soft_modes(LAPLACIAN, sign="growth")
    assert uniform.effective_theory == "scalar phi^4"
    np.testing.assert_array_equal(uniform.wave_vectors, [[0.0, 0.0]])
    np.testing.assert_allclose(uniform.curvature, [2.0 * np.eye(2)], atol=1e-12)
    staggered = theory.soft_modes(LAPLACIAN, sign="drift")
    assert staggered.effective_theory == "modulated phi^4"
    assert staggered.amplitudes == 1
    np.testing.assert_array_equal(staggered.wave_vectors, [[np.pi, np.pi]])
    assert staggered.r == pytest.approx(-8.0)


def test_maxima_on_both_axes_are_two_complex_amplitudes():
    q = 1.0
    modes = theory.soft_modes(theory.kernel_from_dispersion(turing(q, 0.3)), sign="growth")
    assert modes.effective_theory == "multi-component"
    assert modes.amplitudes == 2
    found = {tuple(np.round(k, 9) + 0.0) for k in modes.wave_vectors}
    assert found == {(q, 0.0), (-q, 0.0), (0.0, q), (0.0, -q)}
    assert modes.r == pytest.approx(0.0, abs=1e-12)
    along, across = 2 * (2 * np.sin(q)) ** 2, 0.6 * (2 - 2 * np.cos(q))
    for k, curvature in zip(modes.wave_vectors, modes.curvature, strict=True):
        expected = np.diag([along, across] if k[0] else [across, along])
        np.testing.assert_allclose(curvature, expected, atol=1e-6)


def test_stripes_and_zone_corners_count_their_amplitudes():
    bands = 2.0 - 2.0 * np.cos(zone(16, 16))
    stripes = -((bands[..., 0] - 1.0) ** 2) - bands[..., 1]
    pair = theory.soft_modes(theory.kernel_from_dispersion(stripes), sign="growth")
    assert (len(pair.wave_vectors), pair.amplitudes, pair.effective_theory) == (2, 1, "multi-component")
    np.testing.assert_allclose(np.abs(pair.wave_vectors[:, 0]), np.arccos(0.5), atol=1e-9)
    # Maxima at (pi, 0) and (0, pi), each its own negative.
    checkered = 2 * bands.sum(axis=-1) - bands.prod(axis=-1)
    corners = theory.soft_modes(theory.kernel_from_dispersion(checkered), sign="growth")
    assert (len(corners.wave_vectors), corners.amplitudes) == (2, 2)
    np.testing.assert_array_equal(corners.wave_vectors, [[0.0, np.pi], [np.pi, 0.0]])


def test_a_quartic_maximum_is_isolated_but_a_ring_a_line_and_a_plane_are_not():
    bands = 2.0 - 2.0 * np.cos(zone(16, 16))
    lifshitz = theory.soft_modes(theory.kernel_from_dispersion(-(bands.sum(axis=-1) ** 2)), sign="growth")
    assert lifshitz.effective_theory == "scalar phi^4"
    np.testing.assert_allclose(lifshitz.curvature, 0.0, atol=1e-10)
    ring = theory.kernel_from_dispersion(turing(1.0, 0.0))
    line = [[0.0, 0.0, 0.0], [1.0, -2.0, 1.0], [0.0, 0.0, 0.0]]
    for kernel in (ring, line, [[1.0]]):
        with pytest.raises(InvalidInputError, match="continuum"):
            theory.soft_modes(kernel, sign="growth")


def test_tolerance_merges_maxima_that_a_measurement_separates():
    kernel = theory.kernel_from_dispersion(turing(1.0, 0.3))
    kernel += 1e-4 * np.random.default_rng(3).normal(size=kernel.shape)
    # Noise is not symmetric between the axes; k and -k stay equal, for the growth rate is even.
    assert len(theory.soft_modes(kernel, sign="growth").wave_vectors) == 2
    assert len(theory.soft_modes(kernel, sign="growth", tolerance=1e-3).wave_vectors) == 4


def test_maxima_agree_with_a_brute_force_search():
    rng = np.random.default_rng(7)
    fine = zone(150, 150)
    for _ in range(5):
        kernel = rng.normal(size=(5, 5))
        modes = theory.soft_modes(kernel, sign="growth")
        growth = theory.kernel_symbol(kernel, fine).real
        assert growth.max() <= -modes.r + 1e-12
        assert growth.max() == pytest.approx(-modes.r, abs=5e-2)
        for k, curvature in zip(modes.wave_vectors, modes.curvature, strict=True):
            assert theory.kernel_symbol(kernel, k).real == pytest.approx(-modes.r, abs=1e-10)
            assert (np.linalg.eigvalsh(curvature) > 0.0).all()
            step = 1e-3 * rng.normal(size=2)
            drop = -modes.r - theory.kernel_symbol(kernel, [k + step, k - step]).real.mean()
            assert drop == pytest.approx(0.5 * step @ curvature @ step, rel=1e-3)


def test_patch_model_turns_unstable_uniformly_at_its_critical_times():
    dictionary = fp.PatchDictionary.random()
    exact = theory.soft_mode_instability(lambda t: theory.drift_kernel(t, dictionary), sign="drift")
    assert exact.critical_time == pytest.approx(theory.critical_time("drift", dictionary=dictionary), rel=1e-11)
    assert exact.modes.effective_theory == "scalar phi^4"
    assert exact.modes.r == pytest.approx(0.0, abs=1e-12)
    printed = theory.soft_mode_instability(theory.kernel_eq14, sign="growth")
    assert printed.critical_time == pytest.approx(theory.critical_time("eq17"), rel=1e-11)
    kappa = theory.ginzburg_landau(printed.critical_time).kappa
    np.testing.assert_allclose(printed.modes.curvature[0], 2 * kappa * np.eye(2), rtol=1e-9, atol=1e-12)


def test_a_checkerboard_dictionary_softens_at_the_zone_corner():
    signs = (-1.0) ** np.add.outer(np.arange(5), np.arange(5))
    dictionary = fp.PatchDictionary(np.stack([signs, -signs]))
    found = theory.soft_mode_instability(lambda t: theory.drift_kernel(t, dictionary), sign="drift")
    assert found.modes.effective_theory == "modulated phi^4"
    np.testing.assert_array_equal(found.modes.wave_vectors, [[np.pi, np.pi]])
    # A gauge transformation of the uniform patterns: the same time at another wave vector.
    assert found.critical_time == pytest.approx(theory.critical_time("drift"), rel=1e-11)


def test_instability_of_a_probed_drift_in_one_dimension():
    def kernel_at(t):
        return theory.impulse_kernel(lambda x, t: -0.5 * x - theory.score_eq12(x, t), t, (5,))

    found = theory.soft_mode_instability(kernel_at, sign="drift", t_min=0.5)
    assert found.critical_time == pytest.approx(theory.critical_time("drift", d=1), abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.soft_modes(LAPLACIAN, sign="printed"), "sign is 'printed'"),
        (lambda: theory.soft_modes(np.zeros((4, 3)), sign="growth"), "odd sides"),
        (lambda: theory.kernel_from_dispersion([0.0, 1.0, 2.0]), "between k and -k"),
        (lambda: theory.impulse_kernel(lambda x, t: x[:2], 1.0, (3, 3)), r"drift\(x, t\) has shape \(2, 3\)"),
        (lambda: theory.impulse_kernel(lambda x, t: x, 1.0, (3, 3), step=0.0), "step is 0.0"),
        (lambda: theory.soft_mode_instability(lambda t: LAPLACIAN, sign="drift"), "stable start"),
        (
            lambda: theory.soft_mode_instability(lambda t: [[-1.0]], sign="growth", t_max=1.0),
            "no mode grows",
        ),
        (lambda: theory.soft_mode_instability(lambda t: LAPLACIAN, sign="growth", t_max=0.0), "t_max is 0.0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()
