"""Local response of a network: estimators against full Jacobians, closed forms of the theory, and symmetries."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from torch_patch import patch_score  # noqa: E402

import fastpatch as fp  # noqa: E402
from fastpatch import theory  # noqa: E402
from fastpatch.analysis.figures import draw_denoising, draw_locality, save_figure  # noqa: E402
from fastpatch.errors import InvalidInputError  # noqa: E402
from fastpatch.neural import (  # noqa: E402
    TorchModel,
    containing_radius,
    local_dispersion,
    measure_locality,
    participating_sites,
    predicted_critical_time,
    response_power,
    shift_defect,
)
from fastpatch.neural.probes.dispersion import random_phase_probes  # noqa: E402
from fastpatch.neural.unet import UNet, UNetModel  # noqa: E402

SCHEDULE = fp.VPSchedule()


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def patch_machine(dictionary):
    return TorchModel(patch_score(dictionary, SCHEDULE), SCHEDULE, dtype=torch.float64)


def linear_model(matrix, shape):
    """s(x) = S x for a given matrix S, so that the drift's Jacobian -1/2 - S is known and the same everywhere."""
    weights = torch.from_numpy(matrix)

    def score(x, t):
        return (x.reshape(len(x), -1) @ weights.T).reshape(x.shape)

    return TorchModel(score, SCHEDULE, dtype=torch.float64), -0.5 * np.eye(len(matrix)) - matrix


def fourier_jacobian(J, shape):
    """F J F^dagger with F unitary, as a matrix over the flattened wave vectors."""
    N = len(J)
    columns = np.fft.fft2(J.T.reshape(N, *shape)).reshape(N, N).T  # F J
    return np.conj(np.fft.fft2(np.conj(columns).reshape(N, *shape)).reshape(N, N)) / N


def wave_vectors(shape):
    return np.stack(np.meshgrid(*(2 * np.pi * np.fft.fftfreq(side) for side in shape), indexing="ij"), axis=-1)


@pytest.mark.parametrize("shape", [(6, 8), (5, 7)])
def test_probes_are_real_with_unit_power_at_every_wave_vector(shape):
    z = random_phase_probes(shape, 400, np.random.default_rng(1))
    transform = np.fft.fft2(z, norm="ortho")
    np.testing.assert_allclose(np.abs(transform), 1.0, rtol=1e-12)
    # Independent phases: distinct wave vectors do not correlate, except k with -k, which reality ties together.
    flat = transform.reshape(400, -1)
    gram = np.abs(flat.T @ np.conj(flat)) / 400
    assert np.sort(gram, axis=None)[: -len(gram)].max() < 5 / np.sqrt(400)


@pytest.mark.parametrize("t", [6.0, 1.0, 0.1])
def test_two_probes_are_exact_for_a_convolution(t):
    """At x = 0 the patch machine is one, with the kernel that the theory gives."""
    rng = np.random.default_rng(2)
    # Without symmetry, so that the symbol is complex and a wrong sign of k would show.
    dictionary = fp.PatchDictionary(rng.normal(size=(5, 3, 3)), rng.dirichlet(np.ones(5)))
    model, shape = patch_machine(dictionary), (6, 7)
    found = local_dispersion(model, np.zeros(shape), t, probes=2)
    expected = theory.kernel_symbol(theory.drift_kernel(t, dictionary), wave_vectors(shape))
    np.testing.assert_allclose(found.symbol, expected, rtol=1e-10, atol=1e-10)
    assert found.off_diagonal.max() < 1e-18 * np.abs(expected).max() ** 2
    assert found.off_diagonal_share(SCHEDULE) < 1e-12
    assert found.error.max() < 1e-9 * np.abs(expected).max()


def test_estimates_of_any_jacobian_and_their_errors():
    shape, t = (4, 5), 0.8
    matrix = np.random.default_rng(3).standard_normal((20, 20))
    model, J = linear_model(matrix, shape)
    full = fourier_jacobian(J, shape)
    diagonal = np.diag(full).reshape(shape)
    off = (np.abs(full) ** 2).sum(axis=0).reshape(shape) - np.abs(diagonal) ** 2

    # A field each of many, so that every one has probes of its own.
    found = local_dispersion(model, np.zeros((300, *shape)), t, probes=4)
    deviation = np.abs(found.symbol - diagonal)
    np.testing.assert_allclose(found.off_diagonal.mean(axis=0), off, rtol=0.25)
    np.testing.assert_allclose((deviation**2).mean(axis=0), off / 4, rtol=0.25)
    assert np.abs((found.symbol - diagonal).mean(axis=0) / np.sqrt(off / (4 * 300))).max() < 4.0

    data = -0.5 + 1.0 / SCHEDULE.sigma2(t) - diagonal
    share = off.sum() / (off.sum() + (np.abs(data) ** 2).sum())
    np.testing.assert_allclose(found.off_diagonal_share(SCHEDULE).mean(), share, rtol=0.02)


def test_share_does_not_see_the_identity():
    """Adding a multiple of the identity to J, as a smaller t does, leaves what the data add as it was."""
    shape = (4, 5)
    A = np.random.default_rng(3).standard_normal((20, 20))
    shares = []
    for t in (2.0, 0.01):
        model, _ = linear_model(A - np.eye(20) / SCHEDULE.sigma2(t), shape)
        shares.append(local_dispersion(model, np.zeros(shape), t, probes=64).off_diagonal_share(SCHEDULE))
    np.testing.assert_allclose(shares[1], shares[0], rtol=1e-6)


def test_dispersion_of_a_network_has_the_zero_mode_of_its_mode_derivatives():
    """At k = 0 the diagonal of the Jacobian is the derivative along the constant mode, without averaging."""
    model, t = UNetModel(UNet().double()), 0.6
    x = np.random.default_rng(0).standard_normal((2, 8, 8))
    found = local_dispersion(model, x, t, probes=48)
    deviation = (found.symbol[:, 0, 0].real - model.mode_derivatives(x, t, [0])[:, 0, 0]) / found.error[:, 0, 0]
    assert np.abs(deviation).max() < 4.0


def uniform_patches():
    return fp.PatchDictionary.random(n_random=0, uniform_mass=1.0, size=5)


@pytest.mark.parametrize("t", [4.0, 0.5])
def test_receptive_field_of_the_uniform_patches_is_the_patch(t):
    """At x = 0 the posterior mean responds by alpha/sigma^2 to each of the 25 pixels of its neighbourhood."""
    power = response_power(patch_machine(uniform_patches()), np.zeros((9, 11)), t, sites=9 * 11, periodic=True)
    gain = (SCHEDULE.alpha(t) / SCHEDULE.sigma2(t)) ** 2
    expected = np.zeros((17, 21))
    expected[6:11, 8:13] = gain**2
    np.testing.assert_allclose(power, expected, atol=1e-9 * gain**2)
    assert participating_sites(power) == pytest.approx(25.0)
    assert containing_radius(power, 1.0 - 1e-9) == pytest.approx(np.sqrt(8.0))
    assert containing_radius(power, 0.19) == 1.0  # centre and four neighbours: 5 of 25


def test_without_wrapping_displacements_are_those_on_the_image():
    model, x = patch_machine(uniform_patches()), np.zeros((9, 11))
    power = response_power(model, x, 1.0, sites=9 * 11)
    wrapped = response_power(model, x, 1.0, sites=9 * 11, periodic=True)
    assert power.sum() == pytest.approx(wrapped.sum())
    # A quarter of the rows couple across the border; those pairs lie 7 and 8 rows apart on the image.
    np.testing.assert_allclose(power[8 + 2, 10] / wrapped[8 + 2, 10], 7 / 9)
    np.testing.assert_allclose(power[8 - 7, 10] / wrapped[8 + 2, 10], 2 / 9)


def test_response_is_the_square_of_the_jacobian_whatever_the_sites():
    shape = (3, 4)
    matrix = np.random.default_rng(5).standard_normal((12, 12))
    model, J = linear_model(matrix, shape)
    t = 0.7
    data = ((-0.5 + 1.0 / SCHEDULE.sigma2(t)) * np.eye(12) - J).reshape(*shape, *shape)
    expected = np.zeros((5, 7))
    for i in range(3):
        for j in range(4):
            expected[2 - i : 5 - i, 3 - j : 7 - j] += data[i, j] ** 2 / 12
    np.testing.assert_allclose(response_power(model, np.zeros(shape), t, sites=12), expected, rtol=1e-9)
    some = np.mean([response_power(model, np.zeros(shape), t, sites=6, seed=seed) for seed in range(200)], axis=0)
    np.testing.assert_allclose(some, expected, rtol=0.25)


@pytest.mark.parametrize("length", [1.5, 4.0])
def test_participating_sites_of_smooth_kernels(length):
    """For a Gaussian, as for a box, the participating sites are the sum of the kernel over its peak."""
    u = np.arange(-30, 31)
    kernel = np.exp(-(u[:, None] ** 2 + u**2) / (2 * length**2))
    assert participating_sites(kernel**2) == pytest.approx(kernel.sum(), rel=1e-4)
    r = containing_radius(kernel**2, 0.9)
    assert r == pytest.approx(length * np.sqrt(np.log(10.0)), abs=1.0)


def test_summaries_of_no_response_are_nan():
    zero = np.zeros((2, 3, 3))
    assert np.isnan(participating_sites(zero)).all()
    assert np.isnan(containing_radius(zero, 0.9)).all()


def test_predicted_critical_time_of_a_constant_receptive_field():
    times = np.geomspace(20.0, 0.1, 300)
    found = predicted_critical_time(times, np.full((8, 300), 25.0), SCHEDULE)
    assert found.time == pytest.approx(np.log(26.0), rel=1e-4)
    assert found.low <= found.time <= found.high < 1.01 * found.low
    double = predicted_critical_time(times, np.full((3, 300), 25.0), fp.VPSchedule(2.0))
    assert double.time == pytest.approx(np.log(26.0) / 2, rel=1e-4)
    assert np.isnan(predicted_critical_time(times, np.zeros((3, 300)), SCHEDULE).time)


def test_shift_defect_of_equivariant_and_blind_models():
    dictionary = fp.PatchDictionary.random(n_random=4, size=3)
    x = np.random.default_rng(1).standard_normal((2, 8, 8))
    assert shift_defect(patch_machine(dictionary), x, 1.0).max() < 1e-12

    # A model that always expects the same image: the defect is 1 - the image's autocorrelation at the shift.
    image = np.random.default_rng(2).standard_normal((8, 8))
    fixed = torch.from_numpy(image)
    t = 0.5
    blind = TorchModel(lambda y, t: (SCHEDULE.alpha(t) * fixed - y) / SCHEDULE.sigma2(t), SCHEDULE, dtype=torch.float64)
    found = shift_defect(blind, x, t, shifts=63)
    # Over all 63 shifts the autocorrelation of a centred image adds up to -1.
    np.testing.assert_allclose(found, 1.0 + 1.0 / 63.0, rtol=1e-9)


def test_refuses_unsuitable_arguments():
    model, x = patch_machine(uniform_patches()), np.zeros((6, 6))
    with pytest.raises(InvalidInputError, match="probes is 1; expected at least 2"):
        local_dispersion(model, x, 1.0, probes=1)
    with pytest.raises(InvalidInputError, match="sites is 37; expected at least 1 and at most 36"):
        response_power(model, x, 1.0, sites=37)
    with pytest.raises(InvalidInputError, match="shifts is 36; expected at least 1 and at most 35"):
        shift_defect(model, x, 1.0, shifts=36)
    with pytest.raises(InvalidInputError, match=r"share is 1.5; expected a number in \(0, 1\]"):
        containing_radius(np.ones((3, 3)), 1.5)
    with pytest.raises(InvalidInputError, match=r"power has shape \(4, 3\); expected odd last sides"):
        participating_sites(np.ones((4, 3)))


@pytest.fixture(scope="module")
def measured():
    model = patch_machine(fp.PatchDictionary.random(n_random=4, size=3))
    times = fp.log_time_grid(6.0, 0.05, steps=30)
    dataset = fp.simulate(model, (8, 10), 2, times, record_every=15, snapshots=3, shells=range(4), dtype="float64")
    return model, measure_locality(model, dataset, probes=4, sites=5, shifts=2, periodic=True)


def test_a_run_gains_its_local_response(measured):
    model, dataset = measured
    field, t = dataset["snapshot"].to_numpy()[1, 2], float(dataset["snapshot_time"][2])
    power = response_power(model, field, t, sites=5, periodic=True)
    np.testing.assert_allclose(dataset["response_power"].to_numpy()[1, 2], power)
    np.testing.assert_allclose(dataset["receptive_radius"].sel(share=0.95)[1, 2], containing_radius(power, 0.95))
    np.testing.assert_allclose(dataset["sigma2"], SCHEDULE.sigma2(dataset["snapshot_time"].to_numpy()))
    assert dataset["dispersion"].dims == ("trajectory", "snapshot_time", "ky", "kx")
    assert dataset["shift_defect"].max() < 1e-9
    # The error of a complex number is shared by its parts, that of a real one is not.
    error = local_dispersion(model, dataset["snapshot"].to_numpy()[:, 2], t, probes=4).error
    share = dataset["dispersion_error"].to_numpy()[:, 2] / np.where(error > 0.0, error, 1.0)
    np.testing.assert_allclose(share[:, [0, 4, 0, 4], [0, 0, 5, 5]][error[:, [0, 4, 0, 4], [0, 0, 5, 5]] > 0.0], 1.0)
    np.testing.assert_allclose(share[:, 1:4, 1:5][error[:, 1:4, 1:5] > 0.0], np.sqrt(0.5))
    # The constant mode is lambda_0, which the run has recorded at its first time as well.
    deviation = dataset["dispersion"][:, 0, 0, 0] - dataset["mode_derivative"].isel(time=0, shell=0, direction=0)
    assert (np.abs(deviation) < 4 * dataset["dispersion_error"][:, 0, 0, 0] + 1e-9).all()


def test_figures_follow_from_the_file(measured, tmp_path):
    fp.save(measured[1], tmp_path / "result.nc")
    dataset = fp.load(tmp_path / "result.nc")
    figure = draw_locality(dataset, "a title")
    curves = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 5]
    assert len(curves) == 3
    # The curve starts at sigma^2 lambda(0), the mean over trajectories.
    expected = (dataset["sigma2"] * dataset["dispersion"].isel(ky=0, kx=0).mean("trajectory")).to_numpy()
    np.testing.assert_allclose([line.get_ydata()[0] for line in curves], expected)
    save_figure(figure, tmp_path / "locality.png")
    save_figure(draw_denoising(dataset), tmp_path / "denoising.png")
    assert (tmp_path / "locality.png").stat().st_size > 10_000


def test_a_run_without_snapshots_has_nowhere_to_measure(measured):
    model, dataset = measured
    with pytest.raises(InvalidInputError, match="dataset has no snapshots"):
        measure_locality(model, dataset.drop_vars("snapshot"))
