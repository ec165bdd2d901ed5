"""The held-out loss of networks that are known exactly, the U-Net as a denoiser, and the command that compares them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from matplotlib.figure import Figure  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from fastpatch.analysis.figures import draw_held_out  # noqa: E402
from fastpatch.cli import app  # noqa: E402
from fastpatch.errors import InvalidInputError  # noqa: E402
from fastpatch.neural import held_out_loss  # noqa: E402
from fastpatch.neural.denoisers.schedules import described, restored  # noqa: E402
from fastpatch.neural.unet import UNet, save_weights  # noqa: E402
from fastpatch.neural.unet.denoiser import unet_denoiser  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SHAPE = (1, 8, 8)


class Wiener(torch.nn.Module):
    """D of white data of variance 1/4, its slope scaled by ``gain``; with a label the same of unit mean less."""

    image_shape, img_channels, img_resolution = SHAPE, 1, 8

    def __init__(self, gain=1.0, label_dim=0):
        super().__init__()
        self.gain, self.label_dim = gain, label_dim

    def forward(self, x, sigma, class_labels=None):
        sigma = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1, 1, 1)
        shift = 0.0 if class_labels is None else 1.0
        return self.gain * 0.25 / (0.25 + sigma**2) * (x - shift) + shift


def white(n=600):
    return 0.5 * np.random.default_rng(0).standard_normal((n, *SHAPE)).astype(np.float32)


def test_loss_of_the_exact_posterior_mean_is_its_variance():
    """E|x0 - D|^2 = s^2 sigma^2 / (s^2 + sigma^2) of white data, and the wrong slope adds what it must."""
    sigmas = np.array([4.0, 1.0, 0.25])
    ds = held_out_loss({"exact": Wiener(), "half": Wiener(0.5)}, white(), sigmas=sigmas, count=600)
    exact = 0.25 / (0.25 + sigmas**2)
    # D = gain d x with d the right slope: the error gains ((1 - gain) d)^2 E x^2 / sigma^2.
    half = exact + (0.5 * exact) ** 2 * (0.25 + sigmas**2) / sigmas**2
    mean = ds["loss"].sel(condition="none").mean("image")
    np.testing.assert_allclose(mean.sel(network="exact"), exact, rtol=0.02)
    np.testing.assert_allclose(mean.sel(network="half"), half, rtol=0.02)
    assert np.isnan(ds["loss"].sel(condition="class")).all()
    assert ds.attrs["evaluations"] == 2 * 3 * 600


def test_networks_with_and_without_labels_get_the_same_images():
    labels = np.arange(60) % 3
    images = white(60) + labels[:, None, None, None].astype(np.float32)
    ds = held_out_loss({"free": Wiener(), "known": Wiener(label_dim=3)}, images, labels, levels=3, count=21)
    loss = ds["loss"].transpose("network", "condition", "sigma", "image")
    np.testing.assert_array_equal(loss[0, 0], loss[1, 0])
    assert np.isfinite(loss[1, 1]).all()
    assert loss.sizes["image"] == 21


def test_refused():
    with pytest.raises(InvalidInputError, match="no network"):
        held_out_loss({}, white(4))
    other = Wiener()
    other.image_shape = (1, 4, 4)
    with pytest.raises(InvalidInputError, match="one shape"):
        held_out_loss({"a": Wiener(), "b": other}, white(4))


def test_unet_as_a_denoiser_predicts_the_noise():
    """(y - D(y)) / sigma is what the network says of alpha y at its own time."""
    torch.manual_seed(0)
    net = UNet().eval()
    y = 3.0 * torch.randn(2, 1, 8, 8)
    t = 2.5
    sigma, alpha = np.sqrt(np.expm1(t)), np.exp(-0.5 * t)
    denoiser = unet_denoiser(net, (1, 8, 8))
    with torch.no_grad():
        found = (y - denoiser(y, sigma)) / sigma
        expected = net(alpha * y, t)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    schedule = denoiser.schedule
    assert schedule.time(np.array(schedule.sigma(np.array(0.7)))) == pytest.approx(0.7)
    assert restored(described(schedule)) == schedule


def test_command_compares_files(tmp_path):
    for name in ("one", "other"):
        torch.manual_seed(len(name))
        save_weights(tmp_path / f"{name}.safetensors", UNet(), {"variant": "binarised"})
    np.save(tmp_path / "images.npy", np.sign(np.random.default_rng(0).standard_normal((4, 1, 28, 28))).astype("f4"))

    def compare(*names):
        files = [str(tmp_path / f"{name}.safetensors") for name in names]
        options = ["--levels", "3", "--count", "4", "--quiet", "--out", str(tmp_path / "out")]
        return CliRunner().invoke(app, ["network", "loss", *files, "--images", str(tmp_path / "images.npy"), *options])

    found = compare("one", "other")
    assert found.exit_code == 0, found.output
    assert found.output.splitlines()[1].split() == ["sigma", "one", "other"]
    assert (tmp_path / "out" / "loss.png").stat().st_size > 10_000
    with pytest.raises(InvalidInputError, match="expected each once"):
        raise compare("one", "one").exception


def test_figure_of_one_image_has_no_band():
    assert isinstance(draw_held_out(held_out_loss({"a": Wiener()}, white(1), levels=3, count=1), "title"), Figure)
