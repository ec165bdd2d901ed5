"""The analysis of EDM runs: derivatives against closed forms and float64 differences, lengths, sigma_c, the dataset."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from edm2_cases import random_network, reference, reference_network  # noqa: E402
from gaussian_denoiser import GaussianDenoiser, power_law  # noqa: E402

import fastpatch as fp  # noqa: E402
from fastpatch.analysis import correlation_length, directional_derivatives, fourier_modes  # noqa: E402
from fastpatch.errors import BackendUnavailableError, DtypeError, InvalidInputError  # noqa: E402
from fastpatch.neural import analyze, chosen_classes, drift, latents, luminance, mode_derivatives, sample, sigma_grid  # noqa: E402
from fastpatch.neural.noise_levels import add_null  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def images(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


class InFloat64(torch.nn.Module):
    """An EDM2 network as a denoiser that computes in float64."""

    def __init__(self, **changes):
        super().__init__()
        self.net = random_network(dtype=torch.float64, **changes)
        self.img_resolution, self.img_channels = self.net.img_resolution, self.net.img_channels
        self.label_dim = self.net.label_dim

    def forward(self, x, sigma, class_labels=None):
        return self.net(x, sigma, class_labels, dtype=torch.float64)


class Mixing(torch.nn.Module):
    """D = g_y M x with a gain per class and a matrix M between the channels: lambda_v = (1 - g_y v^T M v) / sigma."""

    def __init__(self, gains, matrix, side=6):
        super().__init__()
        self.gains = torch.as_tensor(np.asarray(gains, dtype=np.float64))
        self.matrix = torch.as_tensor(np.asarray(matrix, dtype=np.float64))
        self.img_resolution, self.img_channels, self.label_dim = side, len(matrix), len(gains)
        self.largest = 0

    def forward(self, x, sigma, class_labels=None):
        self.largest = max(self.largest, len(x))
        gain = torch.zeros(len(x), dtype=x.dtype) if class_labels is None else self.gains[class_labels].to(x)
        return gain[:, None, None, None] * torch.einsum("cd,bdij->bcij", self.matrix.to(x), x)


class TestModeDerivatives:
    @pytest.mark.parametrize("method", ["jvp", "finite-difference"])
    @pytest.mark.parametrize("sigma", [0.05, 1.0, 30.0])
    def test_are_exact_for_gaussian_images(self, method, sigma):
        net = GaussianDenoiser(power_law(12), channels=3)
        found = mode_derivatives(net, images(2, 3, 12, 12), sigma, shells=range(5), diagonal=True, method=method)
        m = np.outer(np.arange(5), [1.0, 1.0, np.sqrt(2.0)])
        S = 30.0 / (1.0 + m) ** 2
        np.testing.assert_allclose(found, np.broadcast_to(sigma / (S + sigma**2), found.shape), rtol=1e-8)

    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("sigma", [0.05, 0.5, 5.0])
    def test_agree_with_central_differences_in_float64(self, channels, sigma):
        net = InFloat64(img_channels=channels)
        x, labels = sigma * images(2, channels, 8, 8), torch.tensor([2, 0])

        def b(fields):
            with torch.no_grad():
                return drift(net, torch.from_numpy(fields), sigma, labels).numpy()

        # All channels are shifted at once; each contributes its own part of v^T (db/dx) v.
        modes = fourier_modes((8, 8), range(4))
        expected = directional_derivatives(b, x.numpy(), modes, 1e-5).mean(axis=1)
        found = mode_derivatives(net, x, sigma, labels, shells=range(4))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7 / sigma)
        assert np.ptp(expected, axis=1).min() > 1e-3 / sigma

    def test_of_the_reference_network(self):
        expected, net = reference(), reference_network()
        x, sigmas, labels = (expected[name] for name in ("x_noisy", "sigma", "class_index"))
        found = np.concatenate(
            [
                mode_derivatives(net, torch.from_numpy(x[i : i + 1]), sigmas[i], labels[i : i + 1], shells=[0, 1])
                for i in range(4)
            ]
        )
        np.testing.assert_allclose(found[:, 0, 0], expected["lambda_0"], rtol=5e-5)
        np.testing.assert_allclose(found[:, 1, 0], expected["lambda_1x"], rtol=5e-5)

    def test_finite_differences_of_a_network_agree_in_float32(self):
        net, labels = random_network(img_channels=3), [0, 1]
        for sigma in (0.05, 1.0, 20.0):
            x = (sigma * images(2, 3, 8, 8)).float()
            exact, differences = (
                mode_derivatives(net, x, sigma, labels, method=method) for method in ("jvp", "finite-difference")
            )
            # Both are taken in units of 1 / sigma, the value without data.
            np.testing.assert_allclose(differences * sigma, exact * sigma, atol=2e-3)

    def test_along_all_channels_or_along_each(self):
        matrix = np.array([[0.5, 0.3, 0.0], [0.1, 0.2, 0.0], [0.0, 0.4, 0.9]])
        net = Mixing([1.0, 0.5], matrix)
        x = images(3, 3, 6, 6)
        gains = np.array([0.5, 1.0, 0.5])
        together = mode_derivatives(net, x, 2.0, [1, 0, 1], shells=[0, 2])
        expected = (1.0 - gains * matrix.sum() / 3.0) / 2.0
        np.testing.assert_allclose(together, np.broadcast_to(expected[:, None, None], (3, 2, 2)), rtol=1e-12)
        each = mode_derivatives(net, x, 2.0, [1, 0, 1], shells=[0, 2], per_channel=True)
        expected = (1.0 - gains[:, None] * np.diag(matrix)) / 2.0
        np.testing.assert_allclose(each, np.broadcast_to(expected[..., None, None], (3, 3, 2, 2)), rtol=1e-12)

    @pytest.mark.parametrize("method", ["jvp", "finite-difference"])
    @pytest.mark.parametrize(("batch", "largest"), [(1, 1), (13, 1), (30, 2), (1000, 5)])
    def test_labels_stay_with_their_images_in_batches_of_any_size(self, method, batch, largest):
        net = Mixing([0.1, 0.2, 0.3, 0.4, 0.5], [[1.0]], side=14)
        found = mode_derivatives(net, images(5, 1, 14, 14), 1.0, [4, 2, 0, 1, 3], method=method, batch=batch)
        np.testing.assert_allclose(found[:, 3, 1], [0.5, 0.7, 0.9, 0.8, 0.6], rtol=1e-6)
        assert net.largest == largest

    def test_goes_on_with_fewer_images_where_memory_ends(self):
        class Crowded(Mixing):
            def forward(self, x, sigma, class_labels=None):
                if len(x) > self.fits:
                    raise torch.cuda.OutOfMemoryError("CUDA out of memory")
                return super().forward(x, sigma, class_labels)

        net = Crowded([0.1, 0.2, 0.3], [[1.0]])
        net.fits = 1
        found = mode_derivatives(net, images(3, 1, 6, 6), 1.0, [0, 1, 2], shells=[0])
        np.testing.assert_allclose(found[:, 0, 0], [0.9, 0.8, 0.7], rtol=1e-12)
        net.fits = 0
        with pytest.raises(BackendUnavailableError, match="not enough free memory for a single image"):
            mode_derivatives(net, images(3, 1, 6, 6), 1.0, [0, 1, 2], shells=[0])

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"sigma": 0.0}, InvalidInputError, r"sigma is 0\.0; expected a positive noise level"),
            ({"method": "tape"}, InvalidInputError, "method is 'tape'; expected one of 'auto', 'jvp'"),
            ({"x": torch.zeros(1, 3, 6, 6)}, InvalidInputError, r"x has shape \(1, 3, 6, 6\); expected \(B, 1, 6, 6\)"),
            ({"class_labels": [2]}, InvalidInputError, "class label 2 is given; expected an index from 0 to 1"),
            ({"class_labels": [0.5]}, DtypeError, "class labels have dtype float64; expected integers"),
            ({"shells": [-1]}, InvalidInputError, "a shell number is -1"),
            ({"batch": 0}, InvalidInputError, "batch is 0; expected at least 1"),
        ],
    )
    def test_refuse_unsuitable_input(self, arguments, error, message):
        net = Mixing([0.1, 0.2], [[1.0]])
        with pytest.raises(error, match=message):
            mode_derivatives(net, **{"x": torch.zeros(1, 1, 6, 6), "sigma": 1.0, **arguments})


def test_luminance_has_the_papers_weights():
    field = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    expected = 0.2989 * field[:, 0] + 0.5870 * field[:, 1] + 0.1140 * field[:, 2]
    np.testing.assert_allclose(luminance(field), expected, rtol=1e-14)
    np.testing.assert_array_equal(luminance(field[:, :1]), field[:, 0])
    assert luminance(field.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(luminance(field[:, :2]), field[:, :2].mean(axis=1), rtol=1e-14)


def test_classes_are_all_or_spread_evenly_or_as_asked():
    net = Mixing(np.ones(4), [[1.0]])
    assert chosen_classes(net) == [0, 1, 2, 3]
    assert chosen_classes(net, [3, 1]) == [3, 1]
    assert chosen_classes(Mixing(np.ones(1000), [[1.0]])) == list(range(0, 1000, 100))
    assert chosen_classes(GaussianDenoiser(power_law(8))) == []
    for classes, message in (
        ([4], "a class is 4; expected at least 0 and at most 3"),
        ([], r"classes are \[\]; expected at least one class, each once"),
        ([1, 1], r"classes are \[1, 1\]; expected at least one class, each once"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            chosen_classes(net, classes)
    with pytest.raises(InvalidInputError, match=r"classes are \[0\] for a network without labels; expected none"):
        chosen_classes(GaussianDenoiser(power_law(8)), [0])


@pytest.fixture(scope="module")
def net():
    means = 0.3 * np.random.default_rng(1).standard_normal((3, 3, 12, 12))
    return GaussianDenoiser(power_law(12), channels=3, means=means)


@pytest.fixture(scope="module")
def found(net):
    return analyze(net, [2, 0], 3, seed=5, steps=10, snapshots=4)


class TestAnalyze:
    def test_measures_the_runs_of_the_sampler(self, net, found):
        labels = np.repeat([2, 0], 3)
        runs = sample(net, latents(range(5, 11), net), labels, steps=10, record=range(11))
        np.testing.assert_array_equal(found["sigma"], sigma_grid(10)[:-1])
        np.testing.assert_array_equal(found["class_label"], labels)
        np.testing.assert_array_equal(found["seed"], range(5, 11))
        np.testing.assert_array_equal(found["final"], runs.images)
        field = luminance(runs.states[:-1].numpy())
        np.testing.assert_array_equal(found["xi_x"], correlation_length(field, "second-moment", False).T)
        np.testing.assert_array_equal(found["snapshot_sigma"], runs.sigmas[[0, 3, 6, 9]])
        np.testing.assert_array_equal(found["denoised"], runs.denoised[[0, 3, 6, 9]].swapaxes(0, 1))

    def test_derivatives_and_equilibrium_length_are_those_of_gaussian_images(self, found):
        sigma, n = found["sigma"].to_numpy(), found["shell"].to_numpy()
        S = 30.0 / (1.0 + n) ** 2
        expected = sigma[:, None] / (S + sigma[:, None] ** 2)
        derivatives = found["mode_derivative"].to_numpy()
        np.testing.assert_allclose(derivatives[0, ..., 0] * sigma[:, None], expected * sigma[:, None], atol=2e-6)
        # The fit of eq. 51 to the exact dispersion, where float32 leaves lambda_0 its digits.
        k2 = (2.0 * np.pi / 12.0 * n[1:4]) ** 2
        slope = ((expected[:, 1:4] / expected[:, :1] - 1.0) @ k2) / (k2 @ k2)
        clear = sigma > 0.5
        np.testing.assert_allclose(found["xi_eq"][:, clear], np.tile(np.sqrt(slope[clear]), (6, 1)), rtol=1e-3)
        assert found.attrs["k_min"] == pytest.approx(2.0 * np.pi / 12.0)
        np.testing.assert_allclose(found["wave_number"][:, 0], 2.0 * np.pi / 12.0 * n)

    def test_is_labelled_and_knows_where_it_comes_from(self, found):
        for name, variable in {**found.data_vars, **found.drop_vars("direction").coords}.items():
            assert variable.attrs["long_name"], name
            assert variable.attrs["units"], name
        run = json.loads(found.attrs["provenance"])["run"]
        assert (run["classes"], run["trajectories"], run["seed"], run["steps"]) == ([2, 0], 3, 5, 10)
        assert run["derivatives"] == "jvp"
        assert len(run["network"]["weights_sha256"]) == 64

    def test_passes_through_a_file(self, found, tmp_path):
        fp.save(found, tmp_path / "result.nc")
        loaded = fp.load(tmp_path / "result.nc")
        assert loaded.drop_attrs().identical(found.drop_attrs())
        assert loaded.attrs["sigma_c"] == found.attrs["sigma_c"]

    def test_unconditional_networks_and_single_channels(self):
        net = GaussianDenoiser(power_law(8))
        found = analyze(net, trajectories=2, steps=4, diagonal=True, snapshots=0)
        assert "class_label" not in found
        assert found["mode_derivative"].shape == (2, 4, 7, 3)
        assert found["denoised"].sizes["snapshot_sigma"] == 0
        each = analyze(net, trajectories=2, steps=4, per_channel=True)
        np.testing.assert_array_equal(each["snapshot_sigma"], each["sigma"])
        assert each["mode_derivative"].dims == ("trajectory", "sigma", "channel", "shell", "direction")
        np.testing.assert_allclose(each["xi_eq"], found["xi_eq"], rtol=1e-5)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"shells": range(3)}, r"shells is \[0, 1, 2\]; expected 0, 1, 2 and 3 among them"),
            ({"trajectories": 0}, "trajectories is 0; expected at least 1"),
            ({"classes": [3]}, "a class is 3; expected at least 0 and at most 2"),
            ({"snapshots": -1}, "snapshots is -1; expected at least 0"),
            ({"method": "tape"}, "method is 'tape'"),
        ],
    )
    def test_refuses_unsuitable_input(self, net, arguments, message):
        with pytest.raises(InvalidInputError, match=message):
            analyze(net, **{"steps": 2, **arguments})

    def test_images_without_luminance_are_seen_by_their_mean(self):
        found = analyze(GaussianDenoiser(power_law(8), channels=4), trajectories=2, steps=4)
        assert found["final"].sizes["channel"] == 4
        mean = found["final"].mean("channel").to_numpy()
        np.testing.assert_allclose(luminance(found["final"].to_numpy()), mean, rtol=1e-5, atol=1e-6)
        assert np.isfinite(found["xi_x"]).all()

    def test_posterior_variance_of_gaussian_images(self):
        """v^T Cov(x0 | x) v / sigma^2 = S / (S + sigma^2), on lattices that are not square too."""
        net = Oblong()
        found = analyze(net, trajectories=2, steps=5, information_runs=4, sigma_max=20.0, sigma_min=0.1)
        expected = Oblong.VARIANCE / (Oblong.VARIANCE + found["sigma"] ** 2)
        np.testing.assert_allclose(
            found["posterior_variance"].transpose(..., "sigma"), np.broadcast_to(expected, (2, 7, 2, 5)), atol=1e-4
        )
        assert found["structure_factor"].sizes["wave_shell"] == 8
        assert found["total_rate"].dims == ("image", "information_sigma")
        waves = found["wave_number"].sel(shell=1)
        np.testing.assert_allclose(waves, [2.0 * np.pi / 6, 2.0 * np.pi / 14])

    def test_the_null_stands_beside_the_network(self):
        """Gaussian images whose null is, but for the finite number of images, the network itself."""
        rng = np.random.default_rng(0)
        images = (np.sqrt(Oblong.VARIANCE) * rng.standard_normal((4000, 2, 6, 14))).astype(np.float32)
        found = analyze(Oblong(), trajectories=2, steps=4, information_runs=4, images=images, sigma_max=9.0)
        # The variance along a mode is off by sqrt(2 / 4000), and its error enters at most once.
        np.testing.assert_allclose(found["null_posterior_variance"], found["posterior_variance"], atol=0.12)
        np.testing.assert_allclose(found["null_total_rate"], found["total_rate"], rtol=0.2)
        assert found["null_xi_x"].shape == (2, 4)
        large = np.zeros((2, 1, 80, 80), dtype=np.float32)
        plain = found.drop_vars([name for name in found if name.startswith("null_")])
        assert "left out: 6400 values" in add_null(plain, Oblong(), large, None).attrs["null"]


class Oblong(torch.nn.Module):
    """White Gaussian images of 6 x 14 sites in two channels."""

    image_shape, label_dim, img_channels, img_resolution = (2, 6, 14), 0, 2, 14
    VARIANCE = 3.0

    def forward(self, x, sigma, class_labels=None):
        return self.VARIANCE / (self.VARIANCE + sigma**2) * x


class Softening(GaussianDenoiser):
    """Gaussian images whose low modes are soft near one noise level alone, and there the softer the lower."""

    centre = 0.7

    def forward(self, x, sigma, class_labels=None):
        low = power_law(self.img_resolution, amplitude=1.0)
        share = 0.9 * torch.from_numpy(low).to(x) * np.exp(-(np.log(sigma / self.centre) ** 2))
        return torch.fft.irfft2(share * torch.fft.rfft2(x), s=x.shape[-2:])


def test_sigma_c_is_where_the_modes_are_softest():
    found = analyze(Softening(power_law(16)), trajectories=4, steps=24)
    sigma = sigma_grid(24)[:-1]
    nearest = sigma[np.abs(np.log(sigma / 0.7)).argmin()]
    assert found.attrs["sigma_c"] == nearest
    # A linear drift is the same for all trajectories, whose peaks are known to within the grid.
    at = int(np.flatnonzero(sigma == nearest)[0])
    assert sigma[at + 1] <= found.attrs["sigma_c_low"] < nearest < found.attrs["sigma_c_high"] <= sigma[at - 1]
    assert found.attrs["sigma_c_found"] == 1.0
    assert found.attrs["sigma_first"] == nearest
    median = np.median(found["xi_eq"], axis=0)
    assert sigma[np.nanargmax(median)] == nearest
    # Far from it, lambda is the 1 / sigma of variance exploding along every mode.
    first = found["mode_derivative"].isel(sigma=0)
    np.testing.assert_allclose(first, 1.0 / 80.0, rtol=1e-4)
