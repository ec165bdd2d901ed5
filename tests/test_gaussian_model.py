"""The Gaussian model against dense linear algebra, the exact laws of its runs, and fields that its nulls describe."""

import math

import numpy as np
import oracle
import pytest

import fastpatch as fp
from fastpatch import theory
from fastpatch.errors import DtypeError, InvalidInputError

SHAPE = (6, 7)


def smooth_spectrum(shape, peak=26.0, reach=1.5):
    rows = np.fft.fftfreq(shape[0]) * shape[0]
    columns = np.arange(shape[1] // 2 + 1)
    # Tilted, so that S(a, b) differs from S(-a, b).
    radius = rows[:, None] ** 2 + columns**2 + 0.7 * rows[:, None] * columns
    spectrum = 0.2 + (peak - 0.2) * np.exp(-radius / reach**2)
    if shape[1] % 2 == 0:
        # There k and -k are in one column.
        spectrum[:, -1] = 0.5 * (spectrum[:, -1] + np.roll(spectrum[::-1, -1], 1))
    return spectrum


def covariance_matrix(spectrum, shape):
    """<f_i f_j> from <f_0 f_d>, the transform of the spectrum, entry by entry."""
    correlation = np.fft.irfft2(spectrum, s=shape)
    sites = [(i, j) for i in range(shape[0]) for j in range(shape[1])]
    return np.array([[correlation[(a - i) % shape[0], (b - j) % shape[1]] for a, b in sites] for i, j in sites])


@pytest.mark.parametrize("t", [1e-3, 0.4, 3.2, 50.0])
def test_everything_is_dense_linear_algebra(t):
    rng = np.random.default_rng(0)
    spectrum, mean = smooth_spectrum(SHAPE), rng.normal(size=SHAPE)
    model = fp.GaussianModel(spectrum, mean=mean)
    sites = SHAPE[0] * SHAPE[1]
    alpha, sigma2 = math.exp(-t / 2), -math.expm1(-t)
    covariance = covariance_matrix(spectrum, SHAPE)
    precision = np.linalg.inv(alpha**2 * covariance + sigma2 * np.eye(sites))
    x = rng.normal(size=(2, *SHAPE))
    deviation = (x - alpha * mean).reshape(2, -1)
    score = (-deviation @ precision).reshape(x.shape)
    np.testing.assert_allclose(model.score(x, t), score, rtol=1e-9, atol=1e-9 * np.abs(score).max())
    m = mean + (alpha * deviation @ precision @ covariance).reshape(x.shape)
    np.testing.assert_allclose(model.posterior_mean(x, t), m, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(model.drift(x, t), -x / 2 - score, rtol=1e-8, atol=1e-9 * np.abs(score).max())
    jacobian = -0.5 * np.eye(sites) + precision
    lam = model.mode_derivatives(x, t, shells=range(5))
    assert lam.shape == (2, 5, 2)
    for n in range(5):
        for direction, wave in enumerate([(n, 0), (0, n)]):
            v = oracle.cosine_mode(SHAPE, *wave).ravel()
            np.testing.assert_allclose(lam[:, n, direction], v @ jacobian @ v, rtol=1e-8, atol=1e-10)
    every = model.spectrum(x, t)
    for a in range(SHAPE[0]):
        for b in range(SHAPE[1] // 2 + 1):
            v = oracle.cosine_mode(SHAPE, a, b).ravel()
            np.testing.assert_allclose(every[:, a, b], v @ jacobian @ v, rtol=1e-8, atol=1e-10)


def test_diagonal_modes_lie_on_the_diagonal():
    spectrum = smooth_spectrum((8, 8))
    lam = fp.GaussianModel(spectrum).mode_derivatives(np.zeros((8, 8)), 1.0, shells=range(8), diagonal=True)
    for n in range(8):
        alpha2 = math.exp(-1.0)
        S = spectrum[n, n] if n <= 4 else spectrum[8 - n, 8 - n]
        assert lam[n, 2] == pytest.approx(-0.5 + 1.0 / (1.0 - alpha2 + alpha2 * S))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_has_the_exact_spectrum_at_every_recorded_time(dtype):
    shape, trajectories = (12, 11), 250
    spectrum = smooth_spectrum(shape, peak=9.0, reach=3.0)
    model = fp.GaussianModel(spectrum, fp.VPSchedule(1.3))
    times = fp.log_time_grid(30.0, 2e-3, 200)
    # What Euler's steps make of white noise: each mode's own linear recursion, without statistics.
    S, law = np.ones_like(spectrum), {}
    for k, t in enumerate(times):
        law[k] = S
        if k + 1 < len(times):
            dt = times[k + 1] - t
            lam = 1.3 * (-0.5 + 1.0 / model.structure_factor(t))
            S = (1.0 + lam * dt) ** 2 * S - 1.3 * dt
    for state in fp.states(model, shape, trajectories, times, seed=3, dtype=dtype, every=50):
        power = np.abs(np.fft.rfft2(state.x.astype(np.float64))) ** 2 / (shape[0] * shape[1])
        ratio = power.mean(axis=0) / law[state.step]
        # Exponential powers, or chi-squared at the real modes: relative errors of 1/sqrt(n) and sqrt(2/n).
        assert np.abs(ratio - 1.0).max() < 5.0 * math.sqrt(2.0 / trajectories)
        # Averaged over all modes the error is that of the site variance.
        assert abs(ratio.mean() - 1.0) < 5.0 * math.sqrt(2.0 / (trajectories * ratio.size))
    np.testing.assert_allclose(law[len(times) - 1], model.structure_factor(times[-1]), rtol=0.1)


def test_steps_converge_to_the_exact_spectrum():
    spectrum, errors = smooth_spectrum((8, 8)), []
    model = fp.GaussianModel(spectrum)
    for steps in (500, 1000, 2000):
        S, times = np.ones_like(spectrum), fp.log_time_grid(50.0, 1e-3, steps)
        lam = np.array([model.spectrum(np.zeros((8, 8)), t) for t in times])
        for k, dt in enumerate(np.diff(times)):
            S = (1.0 + lam[k] * dt) ** 2 * S - dt
        errors.append(np.abs(S / model.structure_factor(times[-1]) - 1.0).max())
    assert errors[2] < 0.02
    np.testing.assert_allclose(np.array(errors[:2]) / errors[1:], 2.0, rtol=0.15)


def test_lambda_0_vanishes_and_xi_eq_diverges_without_any_transition():
    model = fp.GaussianModel(smooth_spectrum((20, 20), peak=26.0, reach=2.0))
    assert model.critical_time == pytest.approx(math.log(25.0))
    x = np.random.default_rng(0).normal(size=(20, 20))
    above, below = (model.mode_derivatives(x, model.critical_time + shift)[0, 0] for shift in (1e-6, -1e-6))
    assert below < 0.0 < above
    lengths = []
    for excess in (1.0, 0.1, 0.01):
        lam = model.mode_derivatives(x, model.critical_time + excess).mean(axis=-1)
        lengths.append(float(fp.analysis.fit_equilibrium_length(lam, 2.0 * math.pi / 20)))
    # xi_eq^2 is slope over lambda_0, which falls linearly.
    np.testing.assert_allclose(np.divide(lengths[1:], lengths[:-1]), math.sqrt(10.0), rtol=0.25)
    assert math.isnan(fp.GaussianModel(np.full((4, 3), 1.5)).critical_time)
    assert fp.GaussianModel(smooth_spectrum((8, 8)), fp.VPSchedule(2.0)).critical_time == pytest.approx(
        math.log(25.0) / 2.0
    )


def test_patch_average_is_the_spectrum_of_random_tilings():
    dictionary = fp.PatchDictionary.random(n_random=2, uniform_mass=0.5, size=3, seed=4)
    shape = (12, 15)
    model = fp.GaussianModel.from_dictionary(dictionary, shape)
    rng, n = np.random.default_rng(0), 3000
    power = np.empty((n, *model.data_spectrum.shape))
    for one in power:
        chosen = dictionary.patterns[rng.choice(len(dictionary), size=(4, 5), p=dictionary.prior)]
        field = chosen.transpose(0, 2, 1, 3).reshape(shape)
        field = np.roll(field, tuple(rng.integers(3, size=2)), axis=(0, 1))
        one[:] = np.abs(np.fft.rfft2(field)) ** 2 / field.size
    error = power.std(axis=0) / math.sqrt(n)
    assert (error < 0.1 * model.data_spectrum.max()).all()
    assert (np.abs(power.mean(axis=0) - model.data_spectrum) < 5.0 * error + 1e-12).all()
    # Pixels are +-1, so the variance of a site is 1 - mean^2, with any dictionary.
    skewed = fp.PatchDictionary(dictionary.patterns[:5], dictionary.prior[:5] / dictionary.prior[:5].sum())
    for one in (dictionary, skewed):
        model = fp.GaussianModel.from_dictionary(one, shape)
        variance = np.fft.irfft2(model.data_spectrum, s=shape)[0, 0]
        assert variance == pytest.approx(1.0 - float(model.mean) ** 2)
    assert float(model.mean) == pytest.approx(float(skewed.prior @ skewed.patterns.mean(axis=(1, 2))))
    assert abs(float(model.mean)) > 0.1


def test_centre_covariance_is_the_machine_s_own_softening_at_large_t():
    dictionary, shape = fp.PatchDictionary.random(), (16, 16)
    model = fp.GaussianModel.from_dictionary(dictionary, shape, covariance="centre")
    k = np.stack(np.meshgrid(*[2.0 * np.pi * np.fft.fftfreq(16)] * 2, indexing="ij"), axis=-1)[:, :9]
    for t in (12.0, 14.0):
        expected = theory.dispersion(k, t, dictionary=dictionary)
        found = model.spectrum(np.zeros(shape), t)
        positive = model.data_spectrum > 0.0
        assert positive.sum() > 30
        alpha2 = math.exp(-t)
        largest = model.data_spectrum.max()
        np.testing.assert_allclose(found[positive], expected[positive], rtol=0, atol=2.0 * (alpha2 * largest) ** 2)
        # The deviation is of second order: the first-order terms are far larger.
        assert np.ptp(expected[positive]) > 0.9 * alpha2 * largest > 20.0 * 2.0 * (alpha2 * largest) ** 2


def test_images_give_back_mean_and_spectrum():
    rng, n, shape = np.random.default_rng(1), 3000, (10, 8)
    spectrum, mean = smooth_spectrum(shape, reach=2.5), rng.normal(size=shape)
    images = mean + np.fft.irfft2(np.sqrt(spectrum) * np.fft.rfft2(rng.normal(size=(n, *shape))), s=shape)
    model = fp.GaussianModel.from_images(images.astype(np.float32))
    np.testing.assert_allclose(model.data_spectrum, spectrum, rtol=5.5 * math.sqrt(2.0 / n))
    np.testing.assert_allclose(model.mean, mean, atol=6.0 * math.sqrt(np.fft.irfft2(spectrum, s=shape)[0, 0] / n))
    uniform = fp.GaussianModel.from_images(images, uniform_mean=True)
    assert float(uniform.mean) == pytest.approx(images.mean())
    # The variation of the mean image counts as fluctuation then.
    assert uniform.data_spectrum.sum() > model.data_spectrum.sum()


@pytest.mark.parametrize("uniform_mean", [False, True])
def test_the_spectrum_of_few_images_has_no_bias(uniform_mean):
    sets = np.random.default_rng(2).normal(size=(400, 2, 8, 8))
    found = np.mean([fp.GaussianModel.from_images(s, uniform_mean=uniform_mean).data_spectrum for s in sets], axis=0)
    # 400 sets of two images have at least 400 squared normals a wave, of relative variance 2.
    np.testing.assert_allclose(found, 1.0, atol=4.5 * math.sqrt(2.0 / 400))
    assert found.mean() == pytest.approx(1.0, abs=0.05)


def test_its_result_files_hold_it_and_its_runs_resume():
    model = fp.GaussianModel(smooth_spectrum((8, 9)), mean=0.2)
    times = fp.log_time_grid(5.0, 0.1, 20)
    dataset = fp.simulate(model, (8, 9), 2, times, snapshots=0)
    np.testing.assert_array_equal(dataset["data_spectrum"], model.data_spectrum)
    assert dataset.attrs["critical_time"] == pytest.approx(math.log(25.0))
    flat = fp.simulate(fp.GaussianModel(np.ones((8, 5))), (8, 9), 1, times, snapshots=0)
    assert "critical_time" not in flat.attrs
    _, middle, end = fp.states(model, (8, 9), 2, times, every=10)
    np.testing.assert_array_equal(list(fp.states(model, (8, 9), 2, times, every=10, start=middle))[-1].x, end.x)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fp.GaussianModel(np.ones(4)), InvalidInputError, "at least 2 axes"),
        (lambda: fp.GaussianModel(np.ones((2, 4, 3))), InvalidInputError, "expected .L1, L2 // 2"),
        (lambda: fp.GaussianModel(-np.ones((4, 3))), InvalidInputError, "powers >= 0"),
        (lambda: fp.GaussianModel(np.ones((4, 3)) * 1j), DtypeError, "complex"),
        (lambda: fp.GaussianModel(np.arange(12.0).reshape(4, 3)), InvalidInputError, "even spectrum"),
        (lambda: fp.GaussianModel(np.ones((4, 3)), mean=np.ones((4, 7))), InvalidInputError, "mean has shape"),
        (lambda: fp.GaussianModel(np.ones((4, 3)), mean=np.nan), InvalidInputError, "mean holds NaN"),
        (lambda: fp.GaussianModel(np.ones((4, 3)), 1.0), DtypeError, "expected a VPSchedule"),
        (
            lambda: fp.GaussianModel(np.ones((4, 3))).score(np.ones((5, 4)), 1.0),
            InvalidInputError,
            "the lattice is 5x4",
        ),
        (
            lambda: fp.GaussianModel(np.ones((4, 3)), mean=np.ones((4, 4))).score(np.ones((4, 5)), 1.0),
            InvalidInputError,
            "expected the spectrum's 4x4",
        ),
        (lambda: fp.GaussianModel.from_dictionary("x"), DtypeError, "expected a PatchDictionary"),
        (lambda: fp.GaussianModel.from_dictionary(fp.PatchDictionary.random(), (4, 9)), InvalidInputError, "4x9"),
        (
            lambda: fp.GaussianModel.from_dictionary(fp.PatchDictionary.random(), covariance="x"),
            InvalidInputError,
            "covariance is 'x'",
        ),
        (lambda: fp.GaussianModel.from_images(np.ones((1, 4, 4))), InvalidInputError, "n >= 2"),
    ],
)
def test_bad_input_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_dictionary_known_by_its_codes_gives_the_same():
    images = np.random.default_rng(0).choice([-1.0, 1.0], size=(6, 9, 9))
    coded = fp.PatchDictionary.from_images(images, size=3)
    plain = fp.PatchDictionary(coded.patterns, coded.prior)
    for covariance in ("patch-average", "centre"):
        one, other = (fp.GaussianModel.from_dictionary(d, (9, 8), covariance=covariance) for d in (coded, plain))
        np.testing.assert_allclose(one.data_spectrum, other.data_spectrum, atol=1e-12)
    pattern, second = coded.moments
    flat = plain.patterns.reshape(len(plain), -1)
    np.testing.assert_allclose(pattern.ravel(), plain.prior @ flat, atol=1e-14)
    np.testing.assert_allclose(second.reshape(9, 9), (plain.prior * flat.T) @ flat, atol=1e-14)
    assert fp.PatchModel(coded).critical_time == pytest.approx(fp.PatchModel(plain).critical_time, nan_ok=True)
