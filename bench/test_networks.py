"""The networks on one torch thread, with random weights: evaluation, derivatives along modes, a step of training."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from bench.cases import CRITICAL, SEED
from fastpatch.analysis import distinct_modes

torch: Any = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

_SIGMA = 1.0
# Shells 0 ... 6 along both axes: the constant mode and twelve cosines.
_SHELLS = range(7)
_MODES = 13


@pytest.fixture(autouse=True)
def _one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def edm2() -> Any:
    """The architecture of the shipped EDM2 network, with random weights."""
    from fastpatch.neural.edm2 import EDM2Network
    from fastpatch.neural.edm2.settings import EDM2Settings

    torch.manual_seed(SEED)
    return EDM2Network(img_resolution=32, img_channels=1, label_dim=10, **EDM2Settings().architecture).eval()


def _noise(*shape: int) -> Any:
    return torch.from_numpy(np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32))


@pytest.mark.parametrize("count", [1, 16], ids=["1x32x32", "16x32x32"])
def test_edm2_evaluation(measure: Any, edm2: Any, count: int) -> None:
    x, labels = _SIGMA * _noise(count, 1, 32, 32), torch.arange(count) % 10

    def evaluate() -> None:
        with torch.no_grad():
            edm2(x, _SIGMA, labels)

    measure(evaluate, images=count)


@pytest.mark.parametrize("at_once", [_MODES, 1], ids=["13 modes at once", "13 modes one by one"])
def test_edm2_derivatives(measure: Any, edm2: Any, at_once: int) -> None:
    from fastpatch.neural import drift
    from fastpatch.neural.jvp import jacobian_products

    modes = torch.from_numpy(distinct_modes((32, 32), _SHELLS)[0][:, None]).float()
    assert len(modes) == _MODES
    b = partial(drift, edm2, sigma=_SIGMA, class_labels=torch.tensor([3]))
    x = _SIGMA * _noise(1, 1, 32, 32)
    measure(lambda: jacobian_products(b, x, modes, at_once), rounds=3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_unet_training_step(measure: Any, precision: str) -> None:
    from fastpatch.neural.devices import default_precision
    from fastpatch.neural.unet import UNet, denoising_loss

    if precision != default_precision(torch.device("cpu")) != "bfloat16":
        pytest.skip("this CPU does not multiply in bfloat16, which torch would emulate")
    count = 16
    net: Any = UNet()
    net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters())
    x0, noise = _noise(count, 1, 28, 28).sign(), _noise(count, 1, 28, 28)
    times = torch.linspace(0.001, 50.0, count)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss: Any = denoising_loss(net, x0, times, noise)
        loss.backward()
        optimizer.step()

    measure(step, images=count)


def test_unet_recorded_time(measure: Any) -> None:
    """What `fastpatch unet analyze` computes of a trajectory whenever it records."""
    from fastpatch.analysis import correlation_length
    from fastpatch.neural.unet import UNet, UNetModel

    model = UNetModel(UNet().eval())
    x = _noise(1, 28, 28).numpy()

    def record() -> None:
        model.mode_derivatives(x, CRITICAL, _SHELLS)
        correlation_length(x)

    measure(record)
