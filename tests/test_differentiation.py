"""v^T J v of small random networks against float64 differences, by whichever mode of differentiation there is."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")

from diffusers_cases import ARCHITECTURES, conditioning, network  # noqa: E402

from fastpatch.errors import InvalidInputError  # noqa: E402
from fastpatch.neural import denoisers, measure_information  # noqa: E402
from fastpatch.neural.modes import measured_modes  # noqa: E402
from fastpatch.neural.probes.differentiation import (  # noqa: E402
    choose_differentiation,
    float32_weights,
    quadratic_forms,
)

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SIGMA = 1.5


def _case(architecture, dtype):
    net = denoisers.from_diffusers(
        network(architecture).to(dtype), diffusers.DDPMScheduler(), **conditioning(architecture)
    )
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, *net.image_shape, generator=generator, dtype=torch.float64).to(dtype)
    directions = torch.randn(4, *net.image_shape, generator=generator, dtype=torch.float64).to(dtype)
    directions /= directions.flatten(1).norm(dim=1)[:, None, None, None]
    label = torch.tensor([1]) if net.label_dim else None

    def drift(fields):
        labels = None if label is None else label.repeat(len(fields))
        return (fields - net(fields, SIGMA, labels)) / SIGMA

    return drift, x, directions


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_against_float64_differences(architecture):
    exact, x, directions = _case(architecture, torch.float64)
    reference = quadratic_forms(exact, x, directions, method="finite-difference", step=1e-4)
    assert reference.error.max() < 1e-7
    method = choose_differentiation(exact, x[:1], 1e-4)
    assert method in ("jvp", "vjp")
    for batch in (1, 2, 64):
        found = quadratic_forms(exact, x, directions, method=method, batch=batch)
        np.testing.assert_allclose(found.values, reference.values, rtol=0, atol=1e-7)
    single, x32, directions32 = _case(architecture, torch.float32)
    for one in {method, "vjp"}:
        found = quadratic_forms(single, x32, directions32, method=one)
        assert found.method == one
        np.testing.assert_allclose(found.values, reference.values, rtol=0, atol=1e-5)


def test_forward_mode_where_there_is_one():
    exact, x, _ = _case("DiT", torch.float64)
    assert choose_differentiation(exact, x[:1], 1e-4) == "jvp"


def test_what_is_chosen_works_on_several_images():
    """After the attention in the middle a group norm's strides are such as forward mode takes of a single image."""
    net = diffusers.UNet2DModel(
        sample_size=16, in_channels=3, out_channels=3, layers_per_block=1, block_out_channels=(16, 32),
        norm_num_groups=4, down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    net = denoisers.from_diffusers(net, diffusers.DDPMScheduler())
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    found = measured_modes(net, x, 1.0, shells=[0, 1])
    assert found.method in ("jvp", "vjp")
    np.testing.assert_allclose(measured_modes(net, x[:1], 1.0, shells=[0, 1]).values, found.values[:1], atol=1e-5)


def test_the_callers_autocast_is_left_outside():
    net = denoisers.from_diffusers(network("group norm"), diffusers.DDPMScheduler())
    x = torch.randn(2, *net.image_shape, generator=torch.Generator().manual_seed(1))
    images = x.numpy()

    def measured():
        rates = measure_information(net, images, sigmas=[3.0, 1.0, 0.3])
        return measured_modes(net, x, 1.0, shells=[0, 1], method="vjp").values, rates["total_rate"].to_numpy()

    plain = measured()
    with torch.autocast("cpu", torch.bfloat16):
        within = measured()
    for one, other in zip(plain, within, strict=True):
        np.testing.assert_array_equal(one, other)


def test_networks_that_cannot_be_differentiated_are_measured_by_differences():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(12, 12, generator=generator, dtype=torch.float64)

    def through_numpy(x):
        return torch.from_numpy(np.tanh(x.detach().numpy().reshape(len(x), 12) @ matrix.numpy())).reshape(x.shape)

    def half_detached(x):
        return torch.tanh(x.detach().reshape(len(x), 12) @ matrix).reshape(x.shape) + 0.1 * x

    x = torch.randn(2, 1, 3, 4, generator=generator, dtype=torch.float64)
    directions = torch.randn(5, 1, 3, 4, generator=generator, dtype=torch.float64)
    for function in (through_numpy, half_detached):
        assert choose_differentiation(function, x[:1], 1e-5) == "finite-difference"
    found = quadratic_forms(through_numpy, x, directions, method="finite-difference", step=1e-3)

    def differentiable(x):
        return torch.tanh(x.reshape(len(x), 12) @ matrix).reshape(x.shape)

    exact = quadratic_forms(differentiable, x, directions, method="jvp").values
    miss = np.abs(found.values - exact)
    assert (miss <= 3.0 * found.error).all()  # the estimate is of the leading order
    assert found.error.max() < 1e-2


def test_derivatives_of_short_weights_are_taken_in_float32():
    scheduler = diffusers.DDPMScheduler()
    short = denoisers.from_diffusers(network("group norm"), scheduler, dtype=torch.bfloat16)
    long = float32_weights(short)
    assert long is not short
    assert {p.dtype for p in long.parameters()} == {torch.float32}
    assert {p.dtype for p in short.parameters()} == {torch.bfloat16}
    assert float32_weights(long) is long
    x = torch.randn(1, *short.image_shape, generator=torch.Generator().manual_seed(0))
    plain = torch.nn.Conv2d(1, 1, 3, padding=1).to(torch.bfloat16).requires_grad_(False)
    called = float32_weights(denoisers.from_callable(lambda y, time: plain(y), image_shape=(1, 4, 4)))
    assert called.inner_dtype is None  # nothing is known of what a function closes over
    wrapped = float32_weights(denoisers.from_callable(_Timeless(plain), image_shape=(1, 4, 4)))
    assert wrapped(torch.ones(1, 1, 4, 4), SIGMA).dtype == torch.float32
    # The copy computes by its own weights, not by those it was copied from.
    assert not torch.equal(long(x, SIGMA), short(x, SIGMA))
    torch.testing.assert_close(long(x, SIGMA), short(x, SIGMA), rtol=0.1, atol=0.1)


class _Timeless(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, time):
        return self.net(x)


def test_an_unknown_method_is_refused():
    with pytest.raises(InvalidInputError, match="expected 'jvp'"):
        quadratic_forms(lambda x: x, torch.zeros(1, 2), torch.ones(1, 2), method="symbolic")
