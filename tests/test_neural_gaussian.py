"""The Gaussian denoiser against dense linear algebra, its flow in closed form, and probes of networks on it."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import oracle  # noqa: E402

from fastpatch.analysis import decided_information, information_rate, posterior_gain_edm  # noqa: E402
from fastpatch.errors import InvalidInputError  # noqa: E402
from fastpatch.neural import Pulse, analyze, latents, mode_derivatives, sample  # noqa: E402
from fastpatch.neural.gaussian import GaussianDenoiser  # noqa: E402
from fastpatch.neural.probes.softest_mode import softest_mode  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SHAPE = (1, 8, 8)
PIXELS = 64


def classes_of(count=3, seed=0):
    """Means and covariances of smooth random images, of different strength by class."""
    rng = np.random.default_rng(seed)
    i = np.arange(8)
    smooth = np.exp(-0.5 * np.subtract.outer(i, i) ** 2 / 4.0)
    matrix = np.kron(smooth, smooth)
    means = rng.normal(size=(count, *SHAPE))
    covariances = np.stack([(0.2 + 0.3 * y) * matrix + 0.01 * np.eye(PIXELS) for y in range(count)])
    return means, covariances


@pytest.mark.parametrize("sigma", [0.05, 1.0, 30.0])
def test_it_is_the_posterior_mean_of_its_class(sigma):
    means, covariances = classes_of()
    weights = np.array([0.5, 0.3, 0.2])
    net = GaussianDenoiser(means, covariances, weights)
    x = np.random.default_rng(1).normal(size=(5, *SHAPE))
    labels = [2, 0, 1, 2, 2]
    mean = np.tensordot(weights, means, axes=1)
    apart = (means - mean).reshape(3, -1)
    whole = np.tensordot(weights, covariances, axes=1) + (weights * apart.T) @ apart

    def expected(one, m, C):
        gain = C @ np.linalg.inv(C + sigma**2 * np.eye(PIXELS))
        return m.ravel() + gain @ (one - m).ravel()

    found = net(torch.from_numpy(x), sigma, torch.tensor(labels)).numpy()
    for one, D, y in zip(x, found, labels, strict=True):
        np.testing.assert_allclose(D.ravel(), expected(one, means[y], covariances[y]), rtol=1e-7, atol=1e-8)
    for one, D in zip(x, net(torch.from_numpy(x), sigma).numpy(), strict=True):
        np.testing.assert_allclose(D.ravel(), expected(one, mean, whole), rtol=1e-7, atol=1e-8)
    # Rows, of which zero is no label; each image has its own noise level.
    rows = torch.zeros(5, 3)
    rows[0, 2] = rows[3, 2] = 1.0
    mixed = net(torch.from_numpy(x), torch.full((5,), sigma, dtype=torch.float64), rows).numpy()
    np.testing.assert_allclose(mixed[[0, 3]], found[[0, 3]], rtol=1e-12)
    np.testing.assert_allclose(mixed[1].ravel(), expected(x[1], mean, whole), rtol=1e-7, atol=1e-8)
    assert net(torch.from_numpy(x).float(), sigma).dtype == torch.float32


def test_its_derivatives_are_those_that_networks_are_measured_by():
    net = GaussianDenoiser(*classes_of())
    x = torch.randn(2, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for label in (None, 1):
        labels = None if label is None else [label, label]
        found = mode_derivatives(net, x, 0.7, labels, shells=range(4))
        modes = np.stack([oracle.cosine_mode((8, 8), n, 0) for n in range(4)])[:, None]
        exact = net.mode_derivatives(modes, 0.7, label)
        np.testing.assert_allclose(found[..., 0], np.broadcast_to(exact, (2, 4)), rtol=1e-5)


def test_its_flow_is_known_in_closed_form():
    means, covariances = classes_of(1)
    net = GaussianDenoiser(means, covariances)
    noise = latents(range(6), net)
    values, vectors = np.linalg.eigh(covariances[0])
    start = 80.0 * noise.numpy().reshape(6, -1).astype(np.float64)
    # Along every axis dx/dsigma = sigma (x - m) / (variance + sigma^2).
    shrink = np.sqrt(values / (values + 80.0**2))
    exact = means.reshape(1, -1) + ((start - means.reshape(1, -1)) @ vectors * shrink) @ vectors.T
    errors = []
    for steps in (32, 64):
        images = sample(net, noise, steps=steps).images.numpy().reshape(6, -1)
        errors.append(np.abs(images - exact).max())
    assert errors[1] < 0.35 * errors[0] < 0.02


def test_it_serves_guidance_pulses_and_the_analysis():
    net = GaussianDenoiser(*classes_of(), weights=[1.0, 2.0, 1.0])
    noise = latents(range(4), net)
    plain = sample(net, noise, [0, 1, 2, 0], steps=16)
    pulsed = sample(
        net, noise, [0, 1, 2, 0], steps=16, guide="zero-label", guidance=Pulse(centre=1.0, half_width=0.7, weight=2.0)
    )
    assert 0 < pulsed.guide_evaluations < pulsed.evaluations
    moved = (pulsed.images - plain.images).flatten(1)
    # Away from the mean of all classes, towards that of the own one.
    own = net.means[[0, 1, 2, 0]] - net.means[-1]
    assert (moved.double() * own).sum() > 0.0
    found = analyze(net, [0, 1], 2, steps=12, snapshots=0)
    assert set(found.dims) >= {"trajectory", "sigma", "shell"}
    exact = net.mode_derivatives(np.full((1, *SHAPE), 1.0 / 8.0), float(found["sigma"][5]), 1)[0]
    np.testing.assert_allclose(found["mode_derivative"].isel(sigma=5).sel(shell=0)[2:, 0], exact, rtol=1e-4)


def test_information_of_a_gaussian_is_half_a_log_determinant():
    means, covariances = classes_of(1)
    net, rng = GaussianDenoiser(means, covariances), np.random.default_rng(3)
    sigmas, n = np.geomspace(200.0, 0.3, 50), 300
    root = np.linalg.cholesky(covariances[0])
    x0 = means + (rng.normal(size=(n, PIXELS)) @ root.T).reshape(n, *SHAPE)
    rates = np.empty((n, len(sigmas)))
    for at, sigma in enumerate(sigmas):
        x = torch.from_numpy(x0 + sigma * rng.normal(size=x0.shape))
        rates[:, at] = information_rate(x0 - net(x, sigma).numpy(), sigma)
    found = decided_information(rates, sigmas, n_resamples=300)
    expected = 0.5 * np.linalg.slogdet(np.eye(PIXELS) + covariances[0] / sigmas[-1] ** 2)[1]
    assert abs(found.total - expected) < (found.total_high - found.total_low) + found.grid_error
    assert found.total_high - found.total_low < 0.05 * expected


def test_moments_are_those_of_the_images():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=400)
    images = (rng.normal(size=(400, 4, 5)) * (1.0 + labels[:, None, None]) + labels[:, None, None]).astype(np.float32)
    net = GaussianDenoiser.from_images(images, labels)
    assert (net.image_shape, net.label_dim) == ((1, 4, 5), 3)
    flat = images.reshape(400, -1).astype(np.float64)
    for y in range(3):
        C = (net.axes[y] * net.variances[y]) @ net.axes[y].T
        np.testing.assert_allclose(C, np.cov(flat[labels == y], rowvar=False), atol=1e-10)
    C = ((net.axes[3] * net.variances[3]) @ net.axes[3].T).numpy()
    # The pooled covariance, up to n - 1 in place of n within classes.
    np.testing.assert_allclose(C, np.cov(flat, rowvar=False), atol=0.03 * np.abs(C).max())
    np.testing.assert_allclose(net.means[3], flat.mean(axis=0), atol=1e-12)
    assert GaussianDenoiser.from_images(images).label_dim == 0


def test_softest_mode_of_a_network_is_its_largest_principal_axis():
    means, covariances = classes_of()
    net = GaussianDenoiser(means, covariances)
    x = torch.randn(2, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for found, y in zip(softest_mode(net, x, 0.5, [0, 2], tolerance=1e-9), (0, 2), strict=True):
        values, vectors = np.linalg.eigh(covariances[y])
        assert found.eigenvalues[0] == pytest.approx(0.5 / (0.25 + values[-1]), rel=1e-6)
        assert abs(np.vdot(found.modes[0], vectors[:, -1])) == pytest.approx(1.0, abs=1e-4)
        assert found.asymmetry < 1e-10
        assert posterior_gain_edm(found.eigenvalues[0], 0.5) == pytest.approx(values[-1] / (0.25 + values[-1]))


@pytest.mark.parametrize("twice_reverse", [False, True])
def test_softest_mode_of_a_network_that_is_no_gradient(twice_reverse):
    """A two-layer network, by forward mode, and by two reverse ones where there is no forward mode."""
    generator = torch.Generator().manual_seed(1)

    class NoForward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return torch.tanh(x)

        @staticmethod
        def backward(ctx, back):
            (x,) = ctx.saved_tensors
            return back * (1.0 - torch.tanh(x) ** 2)

    class Net(torch.nn.Module):
        img_channels, img_resolution, label_dim, image_shape = 2, 4, 0, (2, 4, 4)

        def __init__(self):
            super().__init__()
            first, second = (torch.randn(32, 32, dtype=torch.float64, generator=generator) / 4 for _ in range(2))
            self.first, self.second = torch.nn.Parameter(first), torch.nn.Parameter(second)

        def forward(self, x, sigma, class_labels=None):
            squash = NoForward.apply if twice_reverse else torch.tanh
            return (squash(x.flatten(1) @ self.first) @ self.second).reshape(x.shape)

    net = Net()
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, generator=generator)
    (found,) = softest_mode(net, x, 1.3, count=2, tolerance=1e-9, probes=32)
    J = torch.autograd.functional.jacobian(lambda y: (y - net(y, 1.3)) / 1.3, x).reshape(32, 32).numpy()
    values = np.linalg.eigvalsh(0.5 * (J + J.T))
    np.testing.assert_allclose(found.eigenvalues, values[:2], rtol=1e-6)
    exact = np.linalg.norm(J - J.T) / np.linalg.norm(J)
    assert abs(found.asymmetry - exact) < 5.0 * found.asymmetry_error
    assert math.isfinite(found.participation[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GaussianDenoiser(np.ones((1, 2, 2)), np.eye(4)[None]), "means has shape"),
        (lambda: GaussianDenoiser(np.ones((1, 1, 2, 2)), np.eye(3)[None]), "covariances has shape"),
        (lambda: GaussianDenoiser(np.ones((1, 1, 2, 2)), -np.eye(4)[None]), "eigenvalue"),
        (lambda: GaussianDenoiser(np.ones((1, 1, 2, 2)), np.triu(np.ones((4, 4)))[None]), "not symmetric"),
        (lambda: GaussianDenoiser(np.ones((2, 1, 2, 2)), np.stack([np.eye(4)] * 2), [1.0, 0.0]), "positive numbers"),
        (lambda: GaussianDenoiser.from_images(np.ones((3, 2, 2)), [0, 0, 1]), "fewer than two images"),
        (lambda: GaussianDenoiser.from_images(np.ones((3, 2, 2)), [0, 1]), "expected 3 integers"),
        (lambda: GaussianDenoiser(*classes_of())(torch.zeros(1, *SHAPE), 1.0, torch.tensor([3])), "class label 3"),
        (lambda: GaussianDenoiser(*classes_of())(torch.zeros(1, *SHAPE), 1.0, torch.full((1, 3), 0.5)), "one-hot"),
        (lambda: softest_mode(GaussianDenoiser(*classes_of()), torch.zeros(1, 1, 4, 4), 1.0), "x has shape"),
        (lambda: softest_mode(GaussianDenoiser(*classes_of()), torch.zeros(1, *SHAPE), 0.0), "positive noise level"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()
