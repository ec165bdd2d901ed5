"""The network of App. D.3: layers, symmetries and derivatives."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from fastpatch.errors import DtypeError, InvalidInputError  # noqa: E402
from fastpatch.neural.unet.network import UNet, vp_amplitudes  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def network(padding="zeros", dtype=torch.float64):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return UNet(padding).to(dtype)


def field(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def test_parameter_count_is_that_of_the_printed_layers():
    def conv(width_in, width_out, size=3):
        return size * size * width_in * width_out + width_out

    def linear(width_in, width_out):
        return width_in * width_out + width_out

    def residual(width_in, width_out):
        norms = 2 * width_in + 2 * width_out
        shortcut = conv(width_in, width_out, 1) if width_in != width_out else 0
        return norms + conv(width_in, width_out) + linear(128, width_out) + conv(width_out, width_out) + shortcut

    expected = (
        2 * linear(128, 128)  # time perceptron
        + conv(1, 64)
        + residual(64, 64)
        + conv(64, 64)
        + residual(64, 128)
        + conv(128, 128)
        + 2 * residual(128, 128)  # bottleneck
        + residual(128 + 128, 128)
        + residual(128 + 64, 64)
        + (2 * 64 + conv(64, 1))  # head
    )
    assert sum(weight.numel() for weight in UNet().parameters()) == expected


def test_resolutions_and_widths_at_28_pixels():
    net = network()
    shapes = {}

    def record(name):
        def hook(module, inputs, output):
            shapes[name] = tuple(output.shape[1:])

        return hook

    for name, module in net.named_children():
        module.register_forward_hook(record(name))
    assert net(field(2, 1, 28, 28), 1.0).shape == (2, 1, 28, 28)
    assert shapes["stem"] == shapes["encoder1"] == (64, 28, 28)
    assert shapes["down1"] == (64, 14, 14)
    assert shapes["encoder2"] == (128, 14, 14)
    assert shapes["down2"] == shapes["middle1"] == shapes["middle2"] == (128, 7, 7)
    assert shapes["decoder2"] == (128, 14, 14)
    assert shapes["decoder1"] == (64, 28, 28)


def test_time_embedding_before_the_perceptron():
    embedding = network().time_embedding
    embedding.perceptron = torch.nn.Identity()
    t = np.array([1e-3, 0.7, 50.0])
    phase = t[:, None] * np.exp(-np.arange(64) / 128 * np.log(10000.0))
    expected = np.concatenate([np.sin(phase), np.cos(phase)], axis=1)
    np.testing.assert_allclose(embedding(torch.from_numpy(t)).numpy(), expected, atol=1e-5)


def test_every_weight_and_the_time_matter():
    net = network()
    loss = net(field(2, 1, 12, 12), torch.tensor([0.1, 3.0], dtype=torch.float64)).square().sum()
    loss.backward()
    unused = [name for name, weight in net.named_parameters() if not weight.grad.abs().sum() > 0.0]
    assert unused == []
    x = field(1, 1, 12, 12)
    assert (net(x, 0.1) - net(x, 3.0)).abs().max() > 1e-4


def test_images_of_a_batch_do_not_mix():
    net = network()
    x, t = field(3, 1, 12, 16), torch.tensor([0.01, 1.0, 20.0], dtype=torch.float64)
    together = net(x, t)
    alone = torch.cat([net(x[i : i + 1], float(t[i])) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)


def test_circular_padding_commutes_with_shifts_by_the_total_stride():
    net, x = network("circular"), field(1, 1, 16, 24)

    @torch.no_grad()
    def defect(net, shift):
        moved = net.score(x.roll(shift, dims=(2, 3)), 1.0)
        return float((moved - net.score(x, 1.0).roll(shift, dims=(2, 3))).abs().max())

    for shift in ((4, 0), (0, 4), (8, -12)):
        assert defect(net, shift) < 1e-12
    assert defect(net, (1, 0)) > 1e-4  # strides of 4 break finer shifts
    assert defect(network("zeros"), (4, 0)) > 1e-4  # and the border breaks all


def test_score_and_drift_of_the_vp_process():
    net, x = network(), field(2, 1, 8, 8)
    t = torch.tensor([1e-3, 4.0], dtype=torch.float64)
    sigma = np.sqrt(1.0 - np.exp(-t.numpy()))[:, None, None, None]
    score = -net(x, t).detach().numpy() / sigma
    np.testing.assert_allclose(net.score(x, t).detach().numpy(), score, rtol=1e-12)
    np.testing.assert_allclose(net.drift(x, t).detach().numpy(), -0.5 * x.numpy() - score, rtol=1e-12)


def test_amplitudes_keep_precision_at_small_times():
    t = torch.tensor([1e-3, 1.0, 50.0], dtype=torch.float32)
    alpha, sigma = vp_amplitudes(t)
    exact = t.double()
    np.testing.assert_allclose(alpha, torch.exp(-exact / 2), rtol=1e-6)
    np.testing.assert_allclose(sigma, torch.sqrt(1.0 - torch.exp(-exact)), rtol=1e-6)


# torch 2.13 itself calls the deprecated torch.jit.script at the first forward-mode derivative.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_forward_mode_derivatives_over_many_directions(padding):
    net, x = network(padding).requires_grad_(False), field(2, 1, 8, 12)
    directions = field(3, 2, 1, 8, 12, seed=1)

    def drift(y):
        return net.drift(y, 0.5)

    exact = torch.func.vmap(lambda v: torch.func.jvp(drift, (x,), (v,))[1])(directions)
    step = 1e-6
    for v, found in zip(directions, exact, strict=True):
        central = (drift(x + step * v) - drift(x - step * v)) / (2.0 * step)
        torch.testing.assert_close(found, central, rtol=1e-6, atol=1e-7)


def test_refuses_unsuitable_input():
    net = network(dtype=torch.float32)
    for shape in ((28, 28), (1, 3, 28, 28), (1, 1, 28, 30), (0, 1, 28, 28)):
        with pytest.raises(InvalidInputError, match=r"expected \(B, 1, H, W\) with H and W multiples of 4"):
            net(torch.zeros(shape), 1.0)
    with pytest.raises(DtypeError, match=r"x has dtype torch.float64; expected the network's torch.float32"):
        net(torch.zeros(1, 1, 8, 8, dtype=torch.float64), 1.0)
    with pytest.raises(InvalidInputError, match=r"t has shape \(3,\); expected one time or \(2,\)"):
        net(torch.zeros(2, 1, 8, 8), torch.ones(3))
    with pytest.raises(InvalidInputError, match="padding is 'reflect'; expected one of zeros, circular"):
        UNet("reflect")


def test_v_prediction_is_exact_where_there_is_nothing_but_noise():
    """sigma x + alpha v: the noise for the right v at any t, and x itself at large t whatever the layers say."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = UNet(prediction="v").to(torch.float64)
    x = field(2, 1, 8, 8)
    torch.testing.assert_close(net(x, 50.0), x, rtol=0.0, atol=1e-9)
    x0, noise = field(2, 1, 8, 8, seed=1), field(2, 1, 8, 8, seed=2)
    t = torch.tensor([0.3, 2.0], dtype=torch.float64)
    alpha, sigma = (amplitude[:, None, None, None] for amplitude in vp_amplitudes(t))
    net.head.register_forward_hook(lambda module, inputs, output: alpha * noise - sigma * x0)
    torch.testing.assert_close(net(alpha * x0 + sigma * noise, t), noise)
