"""Group norm and SiLU by the kernel, against torch's own in float64."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from fastpatch.neural.unet import UNet, denoising_loss  # noqa: E402
from fastpatch.neural.unet.norm_silu import NormSiLU, take_kernels  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

# Rounding of one element, of which outputs and gradients have one or two.
UNIT = {torch.float32: 2.0**-24, torch.bfloat16: 2.0**-9}


def layer(channels, groups=8, seed=3):
    torch.manual_seed(seed)
    made = NormSiLU(groups, channels)
    torch.nn.init.uniform_(made.weight, 0.5, 2.0)
    torch.nn.init.uniform_(made.bias, -1.0, 1.0)
    return made


def value_and_gradients(module, x, dy):
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = module(x)
    return [y.detach(), *torch.autograd.grad(y, (x, module.weight, module.bias), dy)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", UNIT, ids=str)
@pytest.mark.parametrize(
    ("channels", "sides", "groups"), [(64, (28, 28), 8), (24, (5, 3), 8), (6, (1, 1), 1), (3, (4, 4), 3)]
)
@pytest.mark.parametrize(
    "layout", [torch.channels_last, torch.contiguous_format], ids=["channels last", "common layout"]
)
def test_agrees_with_torch_in_float64(dtype, channels, sides, groups, layout, threads):
    torch.set_num_threads(threads)  # the fixture sets back what it found
    module = layer(channels, groups)
    x = (3.0 * torch.randn(5, channels, *sides) + 1.0).to(dtype).contiguous(memory_format=layout)
    dy = torch.randn(5, channels, *sides).to(dtype)
    oracle = layer(channels, groups).double()
    expected = value_and_gradients(oracle, x.double(), dy.double())
    found = value_and_gradients(take_kernels(module), x, dy)
    assert found[0].dtype == found[1].dtype == dtype
    assert found[2].dtype == found[3].dtype == torch.float32
    for index, (mine, exact) in enumerate(zip(found, expected, strict=True)):
        unit = UNIT[dtype] if index < 2 else UNIT[torch.float32]
        assert (mine - exact).abs().max() <= 16 * unit * exact.abs().max()


def test_an_offset_a_thousand_times_the_spread_keeps_the_variance():
    module, oracle = take_kernels(layer(16)), layer(16).double()
    x = 1000.0 + torch.randn(2, 16, 8, 8)
    dy = torch.randn(2, 16, 8, 8)
    for mine, exact in zip(
        value_and_gradients(module, x, dy), value_and_gradients(oracle, x.double(), dy.double()), strict=True
    ):
        assert (mine - exact).abs().max() <= 1e-3 * exact.abs().max()


def test_bits_do_not_depend_on_the_threads():
    x, dy = torch.randn(32, 64, 28, 28), torch.randn(32, 64, 28, 28)
    module, found = take_kernels(layer(64)), []
    for count in (1, 2, 7):
        torch.set_num_threads(count)
        found.append(value_and_gradients(module, x, dy))
    for other in found[1:]:
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(other, found[0], strict=True))


def test_infinite_and_missing_numbers_are_not_hidden():
    module = take_kernels(layer(16))
    for dtype in UNIT:
        for bad in (float("nan"), float("inf"), -float("inf")):
            x = torch.randn(2, 16, 4, 4).to(dtype)
            x[1, 0, 0, 0] = bad
            y = module(x)
            assert y[0].isfinite().all()
            assert not y[1, 0].isfinite().any()


@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_the_gradient_of_the_training_loss_is_torchs(padding):
    torch.manual_seed(1)
    plain, fast = UNet(padding, "v"), UNet(padding, "v")
    fast.load_state_dict(plain.state_dict())
    take_kernels(fast.to(memory_format=torch.channels_last))
    x0, noise, t = torch.rand(3, 1, 28, 28), torch.randn(3, 1, 28, 28), torch.tensor([0.01, 1.0, 20.0])
    losses = [denoising_loss(net, x0, t, noise) for net in (plain, fast)]
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-6)
    for loss in losses:
        loss.backward()
    for (name, mine), theirs in zip(fast.named_parameters(), plain.parameters(), strict=True):
        assert (mine.grad - theirs.grad).norm() <= 2e-5 * theirs.grad.norm(), name


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_a_network_that_nobody_trains_takes_torchs_own_and_its_transforms():
    module, x = layer(16), torch.randn(2, 16, 4, 4)
    y, derivative = torch.func.jvp(module, (x,), (torch.ones_like(x),))
    assert torch.equal(y, torch.nn.functional.silu(torch.nn.functional.group_norm(x, 8, module.weight, module.bias)))
    assert derivative.isfinite().all()


def test_a_network_whose_weights_are_bfloat16_takes_torchs_own():
    module, x = layer(16).bfloat16(), torch.randn(2, 16, 4, 4).bfloat16()
    with torch.no_grad():
        expected = torch.nn.functional.silu(torch.nn.functional.group_norm(x, 8, module.weight, module.bias))
        assert torch.equal(module(x), expected)


def test_second_derivatives_are_refused():
    x = torch.randn(1, 16, 4, 4, requires_grad=True)
    (first,) = torch.autograd.grad(take_kernels(layer(16))(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
