"""In which precision torch scores and their derivatives are taken."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from fastpatch.neural import TorchModel  # noqa: E402
from fastpatch.neural.unet import UNetModel  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def field(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def test_bfloat16_moves_runs_and_derivatives_a_little():
    exact, fast = UNetModel.shipped(), UNetModel.shipped(precision="bfloat16")
    x = field(3, 28, 28).astype(np.float32)
    for t, of_score, of_derivatives in ((8.0, 1e-4, 1e-3), (1.0, 0.02, 5e-3), (0.05, 0.05, 5e-3)):
        score, slopes = exact.score(x, t), exact.mode_derivatives(x, t, [0, 2, 9])
        difference = np.linalg.norm(fast.score(x, t) - score) / np.linalg.norm(score)
        assert 0.0 < difference < of_score
        moved = np.abs(fast.mode_derivatives(x, t, [0, 2, 9]) - slopes).max()
        assert 0.0 < moved < of_derivatives * np.abs(slopes).max()
    assert fast.describe()["precision"] == "bfloat16"
    assert "precision" not in exact.describe()


@pytest.mark.parametrize("method", ["jvp", "finite-difference"])
def test_forward_mode_and_differences_are_in_float32_whatever_the_precision(method):
    exact, fast = UNetModel.shipped(method=method), UNetModel.shipped(method=method, precision="bfloat16")
    x = field(2, 28, 28).astype(np.float32)
    np.testing.assert_array_equal(fast.mode_derivatives(x, 1.0, [0, 2]), exact.mode_derivatives(x, 1.0, [0, 2]))


@pytest.mark.parametrize("method", ["jvp", "vjp", "finite-difference"])
def test_the_callers_autocast_is_left_outside(method):
    model = TorchModel(lambda x, t: torch.nn.functional.conv2d(x, torch.ones(1, 1, 3, 3), padding=1), method=method)
    x = field(2, 8, 8).astype(np.float32)
    score, slopes = model.score(x, 1.0), model.mode_derivatives(x, 1.0, [0, 2])
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(model.score(x, 1.0), score)
        np.testing.assert_array_equal(model.mode_derivatives(x, 1.0, [0, 2]), slopes)


def test_a_score_of_bfloat16_is_a_score():
    weight = torch.ones(1, 1, 3, 3) / 9.0
    x = field(2, 8, 8).astype(np.float32)

    def score(x, t):
        return torch.nn.functional.conv2d(x, weight.to(x.dtype), padding=1)

    exact = TorchModel(score, method="vjp")
    for options in ({"precision": "bfloat16"}, {"dtype": torch.bfloat16}):
        short = TorchModel(score, method="vjp", **options)
        np.testing.assert_allclose(short.score(x, 1.0), exact.score(x, 1.0), atol=0.02)
        found = short.mode_derivatives(x, 1.0, [0, 2])
        np.testing.assert_allclose(found, exact.mode_derivatives(x, 1.0, [0, 2]), atol=0.02)
