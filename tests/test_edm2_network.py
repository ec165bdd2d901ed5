"""EDM2's network: the reference numbers, the magnitudes it must preserve, exact derivatives, and refusals."""

import math

import numpy as np
import pytest
from edm2_cases import TINY, random_network, reference, reference_network

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch.func import jvp, vmap  # noqa: E402

from fastpatch.errors import DtypeError, InvalidInputError  # noqa: E402
from fastpatch.neural.edm2 import layers  # noqa: E402
from fastpatch.neural.edm2.network import EDM2Network  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),  # torch's own
]


def assert_close(found, expected, tolerance):
    """Equal to ``tolerance`` of the largest expected value."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0.0, atol=tolerance * np.abs(expected).max())


def noise(*shape, seed=0, dtype=np.float32):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


@pytest.fixture(scope="module")
def references():
    return {name: torch.from_numpy(values) for name, values in reference().items()}


def test_meets_the_reference_outputs(references):
    net, x, sigma, index = reference_network(), *(references[key] for key in ("x_noisy", "sigma", "class_index"))
    with torch.no_grad():
        denoised, logvar = net(x, sigma, index, return_logvar=True)
        assert_close(denoised, references["denoised_float32"], 1e-5)
        assert_close(logvar, references["logvar"], 1e-5)
        assert_close(net(x, sigma), references["denoised_no_label"], 1e-5)
        assert_close(net(x, sigma, torch.eye(10)[index]), references["denoised_float32"], 1e-5)
        half = reference_network(torch.float16)
        assert_close(half(x, sigma, index), references["denoised_stored_half"], 1e-5)


def test_meets_the_reference_derivatives(references):
    net, x, sigma, index = reference_network(), *(references[key] for key in ("x_noisy", "sigma", "class_index"))
    rows = torch.arange(16.0)[:, None].expand(3, 16, 16)
    modes = torch.stack([torch.ones(3, 16, 16), torch.cos(2.0 * math.pi * rows / 16)])
    modes = modes / modes.flatten(1).norm(dim=1)[:, None, None, None]

    def derivative(mode):
        tangent = mode.expand_as(x)
        _, response = jvp(lambda y: (y - net(y, sigma, index)) / sigma[:, None, None, None], (x,), (tangent,))
        return (tangent * response).sum((1, 2, 3))

    found = vmap(derivative)(modes)
    assert_close(found[0], references["lambda_0"], 1e-5)
    assert_close(found[1], references["lambda_1x"], 1e-5)


@pytest.mark.parametrize(("channels", "millions"), [(128, 124.7), (192, 280.2), (256, 497.8), (320, 777.5)])
def test_sizes_of_the_published_networks(channels, millions):
    with torch.device("meta"):
        net = EDM2Network(img_resolution=64, img_channels=3, label_dim=1000, model_channels=channels)
    assert sum(weight.numel() for weight in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


def test_jvp_agrees_with_float64_differences_under_vmap():
    net = random_network(dtype=torch.float64)
    x, sigma = noise(2, 1, 8, 8, dtype=np.float64), torch.tensor([0.3, 2.0], dtype=torch.float64)
    labels, tangents = torch.tensor([0, 2]), noise(3, 2, 1, 8, 8, seed=1, dtype=np.float64)

    def denoise(y):
        return net(y, sigma, labels, dtype=torch.float64)

    exact = vmap(lambda v: jvp(denoise, (x,), (v,))[1])(tangents)
    step = 1e-5
    with torch.no_grad():
        differences = torch.stack([(denoise(x + step * v) - denoise(x - step * v)) / (2.0 * step) for v in tangents])
    assert_close(exact, differences, 1e-8)
    single = random_network()
    rounded = vmap(lambda v: jvp(lambda y: single(y, sigma, labels), (x.float(),), (v,))[1])(tangents.float())
    assert_close(rounded, differences, 1e-4)


def test_vmap_over_classes_and_levels():
    net, x = random_network(), noise(3, 1, 8, 8)
    sigma, labels = torch.tensor([0.1, 1.0, 9.0]), torch.tensor([2, 0, 1])
    with torch.no_grad():
        each = vmap(lambda y, s, label: net(y[None], s, label[None])[0])(x, sigma, labels)
        assert_close(each, net(x, sigma, labels), 1e-6)


def test_samples_do_not_see_each_other():
    net, x = random_network(), noise(4, 1, 8, 8)
    sigma, labels = torch.tensor([0.1, 1.0, 9.0, 0.5]), torch.tensor([2, 0, 1, 1])
    order = torch.tensor([3, 1, 0, 2])
    with torch.no_grad():
        assert_close(net(x[order], sigma[order], labels[order]), net(x, sigma, labels)[order], 1e-6)
        assert_close(net(x[1:2], 1.0, labels[1:2]), net(x, sigma, labels)[1:2], 1e-6)


def test_limits_of_small_and_large_noise():
    """D -> x where there is no noise to remove; where there is nothing else, D does not grow with x."""
    net, x = random_network(), noise(2, 1, 8, 8)
    with torch.no_grad():
        assert_close(net(x, 1e-6, torch.tensor([0, 1])), x, 1e-5)
        assert float(net(1e6 * x, 1e6, torch.tensor([0, 1])).abs().max()) < 10.0


def test_every_input_matters():
    net, x = random_network(), noise(1, 1, 8, 8)
    with torch.no_grad():
        base, unlabelled = net(x, 1.0, torch.tensor([0])), net(x, 1.0)
        assert float((base - net(x, 1.0, torch.tensor([1]))).abs().max()) > 1e-3
        assert float((base - unlabelled).abs().max()) > 1e-3
        assert float((base - net(x, 1.1, torch.tensor([0]))).abs().max()) > 1e-3
        assert torch.equal(unlabelled, net(x, 1.0, torch.zeros(1, 3)))


def test_half_precision_is_near_float32_and_returns_float32():
    net, x = random_network(), noise(4, 1, 8, 8)
    with torch.no_grad():
        expected = net(x, 0.5, torch.tensor([0, 1, 2, 0]))
        for dtype, tolerance in ((torch.bfloat16, 0.03), (torch.float16, 0.004)):
            found = net(x, 0.5, torch.tensor([0, 1, 2, 0]), dtype=dtype)
            assert found.dtype == torch.float32
            assert_close(found, expected, tolerance)


@pytest.mark.parametrize("resolution", [12, 32])
def test_other_shapes(resolution):
    net = random_network(
        img_resolution=resolution, img_channels=2, label_dim=0, channel_mult=[1, 2, 3], attn_resolutions=[]
    )
    with torch.no_grad():
        assert net(noise(2, 2, resolution, resolution), 0.7).shape == (2, 2, resolution, resolution)
    assert not any("emb_label" in name for name, _ in net.named_parameters())


def test_architecture_rebuilds_the_network():
    net = random_network()
    twin = EDM2Network(**net.architecture)
    twin.load_state_dict(net.state_dict())
    x = noise(2, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(net(x, 1.0), twin.eval()(x, 1.0))


def test_normalize_gives_unit_mean_squares():
    x = 7.0 * noise(5, 30, 4, 4)
    for dims, axes in ((None, (1, 2, 3)), ((1,), (1,))):
        mean_squares = layers.normalize(x, dims).square().mean(axes)
        np.testing.assert_allclose(mean_squares.numpy(), 1.0, rtol=1e-3)
    assert float(layers.normalize(torch.zeros(2, 3)).abs().max()) == 0.0


def test_silu_of_a_normal_number_has_unit_mean_square():
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    squares = layers.mp_silu(torch.from_numpy(nodes)).numpy() ** 2
    assert weights @ squares / weights.sum() == pytest.approx(1.0, abs=2e-3)  # 0.596 is rounded


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_sums_and_concatenations_preserve_magnitudes(share):
    a, b = noise(8, 40, 16, 16), noise(8, 10, 16, 16, seed=1)
    joined = layers.mp_cat(a, b, share)
    assert float(joined.square().mean()) == pytest.approx(1.0, abs=0.05)
    assert float(joined[:, 40:].square().sum() * (1.0 - share) ** 2) == pytest.approx(
        float(joined[:, :40].square().sum() * share**2), rel=0.1
    )
    c = noise(8, 40, 16, 16, seed=2)
    assert float(layers.mp_sum(a, c, share).square().mean()) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("kernel", [0, 1, 3])
def test_convolutions_preserve_magnitudes_and_ignore_the_weights_scale(kernel):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        conv = layers.MPConv(64, 48, kernel).eval()
    x = noise(64, 64, 12, 12) if kernel else noise(4096, 64)
    with torch.no_grad():
        y = conv(x)
        inside = y[:, :, 1:-1, 1:-1] if kernel else y
        assert float(inside.square().mean()) == pytest.approx(1.0, abs=0.02)
        conv.weight.mul_(50.0)
        assert_close(conv(x), y, 1e-3)
        assert_close(conv(x, gain=torch.tensor(-2.0)), -2.0 * conv(x), 1e-6)


def test_only_training_normalises_the_stored_weights():
    net, x = random_network(), noise(1, 1, 8, 8)
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(3.0)
        before = {name: weight.clone() for name, weight in net.named_parameters()}
        net(x, 1.0, return_logvar=True)
        assert all(torch.equal(weight, before[name]) for name, weight in net.named_parameters())
        net.train()(x, 1.0, return_logvar=True)
    for name, weight in net.named_parameters():
        if weight.ndim:
            mean_squares = weight.detach().flatten(1).square().mean(1)
            np.testing.assert_allclose(mean_squares.numpy(), 1.0, rtol=1e-3, err_msg=name)


def test_fourier_features_have_unit_mean_square():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        features = layers.MPFourier(4096)(torch.linspace(-2.0, 2.0, 9))
    np.testing.assert_allclose(features.square().mean(1).numpy(), 1.0, atol=0.08)


def test_resampling_keeps_the_mean():
    x = noise(1, 2, 4, 6)
    down = layers.resample(x, "down")
    np.testing.assert_allclose(down.numpy(), x.numpy().reshape(1, 2, 2, 2, 3, 2).mean((3, 5)), atol=1e-6)
    np.testing.assert_array_equal(layers.resample(x, "up").numpy(), x.numpy().repeat(2, 2).repeat(2, 3))


def test_refuses_unsuitable_input():
    net, x = random_network(), noise(2, 1, 8, 8)
    for arguments, message in (
        ((noise(2, 3, 8, 8), 1.0), r"x has shape \(2, 3, 8, 8\); expected \(B, 1, 8, 8\)"),
        ((noise(2, 1, 8, 9), 1.0), r"x has shape \(2, 1, 8, 9\)"),
        ((x[:0], 1.0), r"x has shape \(0, 1, 8, 8\)"),
        ((x, torch.ones(3)), r"sigma has shape \(3,\); expected one number or \(2,\)"),
        ((x, 1.0, torch.tensor([0, 3])), "class_labels holds the class 3; expected 0 ... 2"),
        ((x, 1.0, torch.tensor([-1, 0])), "class_labels holds the class -1"),
        ((x, 1.0, torch.tensor([0])), r"class_labels has shape \(1,\); expected \(2,\) or \(2, 3\)"),
        ((x, 1.0, torch.ones(2, 4)), r"class_labels has shape \(2, 4\)"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            net(*arguments)
    with pytest.raises(DtypeError, match=r"class_labels has dtype torch\.float32"):
        net(x, 1.0, torch.tensor([0.0, 1.0]))
    with pytest.raises(InvalidInputError, match="the network has no labels"):
        random_network(label_dim=0)(x, 1.0, torch.tensor([0, 0]))


def test_refuses_what_makes_no_network():
    for changes, message in (
        ({"img_resolution": 15}, "channel_mult is .* at img_resolution 15; .* halved"),
        ({"channel_mult": []}, r"channel_mult is \[\]"),
        ({"model_channels": 48}, "channels_per_head is 64, but the attention at resolution 8 has 96 channels"),
        ({"model_channels": 0}, "model_channels is 0"),
        ({"sigma_data": -1.0}, "sigma_data is -1.0; expected a positive number"),
        ({"res_balance": 1.5}, r"res_balance is 1.5; expected a share in \[0, 1\]"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            EDM2Network(**{**TINY, **changes})
