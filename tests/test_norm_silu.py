"""Group norm and SiLU by the kernel, against torch's own in float64."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from fastpatch.neural.unet import UNet, denoising_loss, norm_silu  # noqa: E402
from fastpatch.neural.unet.norm_silu import NormSiLU  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

# Units of rounding: the arithmetic is float32, its results are rounded once to bfloat16.
BFLOAT16, FLOAT32 = 2.0**-8, 2.0**-24


def layer(channels, groups=8, seed=3):
    torch.manual_seed(seed)
    made = NormSiLU(groups, channels)
    torch.nn.init.uniform_(made.weight, 0.5, 2.0)
    torch.nn.init.uniform_(made.bias, -1.0, 1.0)
    return made


def torchs_own(module, x):
    return torch.nn.functional.silu(torch.nn.functional.group_norm(x, 8, module.weight, module.bias))


def value_and_gradients(module, x, dy):
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = module(x)
    return [y.detach(), *torch.autograd.grad(y, (x, module.weight, module.bias), dy)]


def assert_rounded_from_float32(found, expected, rounded=16):
    """Every element within one rounding to its dtype, beside ``rounded`` roundings of float32 of the largest."""
    for mine, exact in zip(found, expected, strict=True):
        last = BFLOAT16 if mine.dtype == torch.bfloat16 else 0.0
        allowed = last * exact.abs() + rounded * FLOAT32 * exact.abs().max()
        assert ((mine - exact).abs() <= allowed).all()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("channels", "sides", "groups"), [(64, (28, 28), 8), (24, (5, 3), 8), (6, (1, 1), 1), (3, (4, 4), 3)]
)
@pytest.mark.parametrize(
    "layout", [torch.channels_last, torch.contiguous_format], ids=["channels last", "common layout"]
)
def test_agrees_with_torch_in_float64(channels, sides, groups, layout, threads):
    torch.set_num_threads(threads)  # the fixture sets back what it found
    module = layer(channels, groups)
    x = (3.0 * torch.randn(5, channels, *sides) + 1.0).bfloat16().contiguous(memory_format=layout)
    dy = torch.randn(5, channels, *sides).bfloat16()
    oracle = layer(channels, groups).double()
    expected = value_and_gradients(oracle, x.double(), dy.double())
    found = value_and_gradients(module, x, dy)
    assert found[0].dtype == found[1].dtype == torch.bfloat16
    assert found[2].dtype == found[3].dtype == torch.float32
    assert_rounded_from_float32(found, expected)


def test_an_offset_a_hundred_times_the_spread_keeps_the_variance():
    module, oracle = layer(16), layer(16).double()
    x = (100.0 + torch.randn(2, 16, 8, 8)).bfloat16()
    dy = torch.randn(2, 16, 8, 8).bfloat16()
    expected = value_and_gradients(oracle, x.double(), dy.double())
    assert_rounded_from_float32(value_and_gradients(module, x, dy), expected, rounded=1000)


def test_bits_do_not_depend_on_the_threads():
    x, dy = torch.randn(32, 64, 28, 28).bfloat16(), torch.randn(32, 64, 28, 28).bfloat16()
    module, found = layer(64), []
    for count in (1, 2, 7):
        torch.set_num_threads(count)
        found.append(value_and_gradients(module, x, dy))
    for other in found[1:]:
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(other, found[0], strict=True))


def test_infinite_and_missing_numbers_are_not_hidden():
    module = layer(16)
    for bad in (float("nan"), float("inf"), -float("inf")):
        x = torch.randn(2, 16, 4, 4).bfloat16()
        x[1, 0, 0, 0] = bad
        y = module(x)
        assert y[0].isfinite().all()
        assert not y[1, 0].isfinite().any()


@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_the_gradient_of_the_training_loss_is_as_near_to_float32_as_with_torchs_own(padding, monkeypatch):
    torch.manual_seed(1)
    net = UNet(padding, "v").to(memory_format=torch.channels_last)
    x0, noise, t = torch.rand(3, 1, 28, 28), torch.randn(3, 1, 28, 28), torch.tensor([0.01, 1.0, 20.0])

    def gradient(bfloat16):
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = denoising_loss(net, x0, t, noise)
        return torch.cat([part.ravel() for part in torch.autograd.grad(loss, list(net.parameters()))])

    exact, kernels = gradient(False), gradient(True)
    monkeypatch.setattr(norm_silu, "_transformed", lambda: True)
    plain = gradient(True)
    assert not torch.equal(kernels, plain)
    assert (kernels - exact).norm() <= 1.2 * (plain - exact).norm()
    assert (kernels - exact).norm() <= 0.02 * exact.norm()


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_transforms_take_torchs_own(dtype):
    module, x = layer(16).to(dtype), torch.randn(2, 16, 4, 4).to(dtype)
    y, derivative = torch.func.jvp(module, (x,), (torch.ones_like(x),))
    assert torch.equal(y, torchs_own(module, x))
    assert derivative.isfinite().all()
    mixed = layer(16)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.func.jvp(mixed, (x,), (torch.ones_like(x),))[1].isfinite().all()


def test_float32_and_weights_of_bfloat16_take_torchs_own():
    for module, x in (
        (layer(16), torch.randn(2, 16, 4, 4)),
        (layer(16).bfloat16(), torch.randn(2, 16, 4, 4).bfloat16()),
    ):
        with torch.no_grad():
            assert torch.equal(module(x), torchs_own(module, x))


def test_second_derivatives_are_refused():
    x = torch.randn(1, 16, 4, 4).bfloat16().requires_grad_()
    (first,) = torch.autograd.grad(layer(16)(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
