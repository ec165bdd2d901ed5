"""The prefix tree over all patches of images, held to direct float64 sums over every pattern."""

import numpy as np
import pytest
from image_cases import FASHION, blobs
from numba import njit
from numpy.lib.stride_tricks import sliding_window_view

import fastpatch as fp
from fastpatch.analysis import fourier_modes
from fastpatch.kernels.cpu.intrinsics import X86, restore_control, subnormals_as_zero
from fastpatch.kernels.tree import PatchTree, TreeKernels, driver
from fastpatch.noise import standard_normals
from fastpatch.threads import thread_limit

SIZES = (3, 5, 7)
TIMES = (1e-3, 0.02, 0.15, 0.4, 1.0, 5.0, 50.0)


def direct(dictionary, field, t, sites):
    """m and R_u of some sites (row, column) by explicit sums over all patterns; what a float64 sum can know."""
    size, radius = dictionary.size, dictionary.radius
    alpha, sigma2 = np.exp(-t / 2), -np.expm1(-t)
    windows = sliding_window_view(np.pad(field.astype(np.float64), radius, mode="wrap"), (size, size))
    patterns = dictionary.patterns.reshape(len(dictionary), -1)
    means, responses = [], []
    for i, j in sites:
        distance = ((windows[i, j].ravel() - alpha * patterns) ** 2).sum(axis=1)
        log_weights = np.log(dictionary.prior) - distance / (2 * sigma2)
        weights = np.exp(log_weights - log_weights.max())
        weights /= weights.sum()
        means.append(weights @ dictionary.centers)
        responses.append((weights * (dictionary.centers - means[-1])) @ patterns)
    return np.array(means), np.array(responses)


def fields(t, images, rng):
    """A noised image, noise, and a field that no patch comes near."""
    alpha, sigma = np.exp(-t / 2), np.sqrt(-np.expm1(-t))
    shape = images.shape[1:]
    yield alpha * images[0] + sigma * rng.standard_normal(shape)
    yield rng.standard_normal(shape)
    yield rng.choice([-4.0, 4.0], shape)


def slope(t):
    return np.exp(-t / 2) / -np.expm1(-t)


@pytest.fixture(scope="module", params=SIZES, ids=lambda size: f"{size}x{size}")
def case(request):
    images = blobs(25, side=16, smoothing=1.0)
    dictionary = fp.PatchDictionary.from_images(images, request.param)
    return images, dictionary, TreeKernels(PatchTree.of(dictionary.codes, dictionary.prior, dictionary.size))


@pytest.mark.parametrize("t", TIMES)
@pytest.mark.parametrize(("dtype", "accuracy"), [("float32", 1e-5), ("float64", 1e-12)])
def test_posterior_and_response_are_the_sums_over_all_patterns(case, t, dtype, accuracy):
    images, dictionary, kernels = case
    rng = np.random.default_rng(3)
    sites = [(0, 0), (15, 4), (5, 15), (9, 9), (12, 3)]
    for field in fields(t, images, rng):
        x = field.astype(dtype)
        mean, response = kernels.response(x[None], slope(t))
        assert mean.dtype == response.dtype == dtype
        expected, expected_response = direct(dictionary, x, t, sites)
        rows, columns = np.array(sites).T
        # At small t logits of 1e5 and more differ by their last digits, which decides between near patterns.
        excused = 2e-16 * slope(t) * 4 * dictionary.size**2 * np.abs(x).max()
        np.testing.assert_allclose(mean[0, rows, columns], expected, rtol=0, atol=accuracy + excused)
        found = response[0][:, rows, columns].T
        np.testing.assert_allclose(found, expected_response, rtol=0, atol=2 * accuracy + 2 * excused)


def test_no_site_depends_on_the_others_or_on_the_threads(case):
    images, _, kernels = case
    for t in (0.02, 0.15, 0.4):
        for x in (np.array(list(fields(t, images, np.random.default_rng(1)))), np.tile(images[:1], (1, 1, 2))):
            batch = kernels.response(x.astype(np.float32), slope(t))
            for field, *expected in zip(x, *batch, strict=True):
                for found, one in zip(
                    kernels.response(field.astype(np.float32)[None], slope(t)), expected, strict=True
                ):
                    np.testing.assert_array_equal(found[0], one)
            with thread_limit(1):
                alone = kernels.posterior_mean(x.astype(np.float32), slope(t))
            np.testing.assert_array_equal(alone, batch[0])
            moved = kernels.posterior_mean(np.roll(x, (3, 5), axis=(1, 2)).astype(np.float32), slope(t))
            np.testing.assert_array_equal(moved, np.roll(batch[0], (3, 5), axis=(1, 2)))


def test_the_search_and_the_sums_agree(case, monkeypatch):
    images, _, kernels = case
    for t in (0.3, 1.0):
        for x in fields(t, images, np.random.default_rng(2)):
            expected = kernels.response(x[None], slope(t))
            monkeypatch.setattr(driver, "_SEARCHED", {"float64": 0.0})
            monkeypatch.setattr(driver, "_FEWEST_LEAVES", 10**9)
            found = kernels.response(x[None], slope(t))
            monkeypatch.undo()
            for one, other in zip(expected, found, strict=True):
                np.testing.assert_allclose(other, one, rtol=0, atol=1e-12)


def test_sites_lost_in_single_precision_are_those_of_double_precision(case, monkeypatch):
    images, _, kernels = case
    x = images[:2] + np.random.default_rng(4).standard_normal((2, 16, 16))
    expected, expected_response = kernels.response(x.astype(np.float32).astype(np.float64), slope(0.4))
    monkeypatch.setitem(driver._LEAST, "float32", 2.0)  # which no total reaches
    monkeypatch.setattr(driver, "_AGAIN", 100)
    mean, response = kernels.response(x.astype(np.float32), slope(0.4))
    np.testing.assert_array_equal(mean, expected.astype(np.float32))
    np.testing.assert_array_equal(response, expected_response.astype(np.float32))
    np.testing.assert_array_equal(kernels.posterior_mean(x.astype(np.float32), slope(0.4)), mean)


@pytest.mark.skipif(not X86, reason="only x86 counts subnormal numbers as zero")
def test_subnormal_numbers_count_as_zero_in_kernels_that_say_so_and_nowhere_else(case):
    @njit
    def multiply(a, b, out):
        control = subnormals_as_zero()
        out[0] = a[0] * b[0]
        restore_control(control)
        out[1] = a[0] * b[0]

    small = np.array([1e-30], dtype=np.float32)
    out = np.empty(2, dtype=np.float32)
    multiply(small, small * np.float32(1e20), out)
    assert out[0] == 0.0 < out[1]
    images, _, kernels = case
    kernels.posterior_mean(images[:1].astype(np.float32), slope(0.15))
    assert (small * np.float32(1e-10)).item() > 0.0


@pytest.fixture(scope="module")
def model():
    dictionary = fp.PatchDictionary.from_images(blobs(30, side=20, smoothing=1.1), 5)
    found = fp.PatchModel(dictionary)
    assert found.tree is not None
    return found


def test_the_model_takes_the_tree_and_says_the_same_as_matrix_products(model):
    products = fp.PatchModel(model.dictionary)
    products.__dict__["tree"] = None
    x = np.random.default_rng(0).normal(size=(2, 8, 9))
    for t in (0.1, 1.0):
        np.testing.assert_allclose(model.score(x, t), products.score(x, t), rtol=1e-10, atol=1e-11)
        np.testing.assert_allclose(model.spectrum(x, t), products.spectrum(x, t), rtol=1e-9, atol=1e-9)


def test_derivatives_are_those_of_the_drift(model):
    x, t, step = np.random.default_rng(4).normal(size=(15, 15)), 0.8, 1e-5
    found = model.mode_derivatives(x, t, shells=(0, 2, 5), diagonal=True)
    modes = fourier_modes(x.shape, (0, 2, 5), diagonal=True).reshape(-1, *x.shape)
    for v, exact in zip(modes, found.ravel(), strict=True):
        difference = np.vdot(v, model.drift(x + step * v, t) - model.drift(x - step * v, t)) / (2 * step)
        assert exact == pytest.approx(difference, rel=1e-7, abs=1e-8)
    spectrum = model.spectrum(x, t)
    np.testing.assert_allclose(spectrum[[0, 2, 5], 0], found[:, 0], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(spectrum[0, [0, 2, 5]], found[:, 1], rtol=1e-11, atol=1e-11)


def test_single_precision_stays_single(model):
    x = np.random.default_rng(5).normal(size=(9, 11))
    for compute in (model.posterior_mean, model.mode_derivatives, model.spectrum):
        exact, found = compute(x.astype(np.float32).astype(np.float64), 1.3), compute(x.astype(np.float32), 1.3)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, exact, rtol=2e-5, atol=2e-5)


def test_small_dictionaries_keep_their_kernels():
    assert fp.PatchModel(fp.PatchDictionary.random()).tree is None
    assert fp.PatchModel(fp.PatchDictionary(np.random.default_rng(0).normal(size=(2000, 5, 5)))).tree is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_simulate_takes_the_steps_of_the_drift(model, dtype):
    shape, times, shells = (9, 12), [1.0, 0.97, 0.95, 0.1, 0.09], (0, 1, 2, 3)
    options = {"seed": 3, "dtype": dtype, "shells": shells, "snapshots": 2}
    found = fp.simulate(model, shape, 2, times, **options)
    x = next(fp.states(model, shape, 2, times, seed=3, dtype=dtype)).x.astype(np.float64)
    exact, tolerance = dtype == "float64", 1e-11 if dtype == "float64" else 2e-4
    for k, t in enumerate(times[:-1]):
        derivatives = found.mode_derivative.isel(time=k).values
        np.testing.assert_allclose(derivatives, model.mode_derivatives(x, t, shells), rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(found.magnetization.isel(time=k), x.mean(axis=(1, 2)), atol=1e-10 if exact else 1e-5)
        dt = times[k + 1] - t
        eta = standard_normals(x.shape, seed=3, step=k, dtype=dtype)
        x = x + dt * model.drift(x, t) + np.sqrt(-dt) * eta
    np.testing.assert_allclose(found.final, x, rtol=0, atol=tolerance)
    again = fp.simulate(model, shape, 2, times, **options, record_every=2)
    np.testing.assert_array_equal(again.final, found.final)


@pytest.mark.slow
@pytest.mark.skipif(not FASHION.is_dir(), reason="the Fashion-MNIST files are not at ../shared/fashion-mnist")
@pytest.mark.parametrize("size", [5, 7])
def test_all_patches_of_fashion_mnist(size):
    pytest.importorskip("torch")
    from fastpatch.neural.data import load_images

    dictionary = fp.PatchDictionary.from_images(load_images("train", "binarised", FASHION), size)
    test_images = load_images("test", "binarised", FASHION)[:1, 0]
    kernels = fp.PatchModel(dictionary).tree
    rng = np.random.default_rng(0)
    sites = [(i, j) for i, j in rng.integers(0, 28, size=(4 if size == 5 else 1, 2))]
    columns = np.array(sites).T
    one = np.uint64(1)
    bits = [np.where(dictionary.codes >> np.uint64(b) & one, np.int8(1), np.int8(-1)) for b in range(size * size)]
    for t in (1e-3, 0.05, 0.2, 1.0, 5.0, 50.0) if size == 5 else (0.05, 1.0):
        alpha, sigma2 = np.exp(-t / 2), -np.expm1(-t)
        for field in fields(t, test_images, rng):
            for dtype, accuracy in (("float32", 1e-5), ("float64", 1e-12)):
                x = field.astype(dtype)
                found = kernels.posterior_mean(x[None], slope(t))[0, columns[0], columns[1]]
                windows = sliding_window_view(np.pad(x.astype(np.float64), size // 2, mode="wrap"), (size, size))
                for (i, j), value in zip(sites, found, strict=True):
                    logits = np.log(dictionary.prior)
                    for bit, y in zip(bits, windows[i, j].ravel(), strict=True):
                        logits += alpha / sigma2 * y * bit
                    weights = np.exp(logits - logits.max())
                    expected = weights @ dictionary.centers / weights.sum()
                    excused = 2e-16 * alpha / sigma2 * size**2 * np.abs(x).max()
                    assert value == pytest.approx(expected, abs=accuracy + excused)
