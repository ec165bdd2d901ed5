"""The trial of a guidance window: resumed block by block, and shares of gains that are known."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from fastpatch.analysis import figures  # noqa: E402
from fastpatch.errors import InvalidInputError, ResultFileError  # noqa: E402
from fastpatch.neural import GaussianDenoiser, measure_information  # noqa: E402
from fastpatch.neural.window import guidance_window, trial  # noqa: E402
from fastpatch.neural.window.report import frechet_distance, trial_report, trial_table  # noqa: E402
from fastpatch.neural.window.trial import TrialSettings, blocks, grid_evaluations, step_blocks  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SETTINGS = TrialSettings(levels=3, sigma_max=8.0, sigma_min=0.3, weights=(1.0, 2.0), evaluations=(4,))


@pytest.fixture(scope="module")
def net():
    means = np.zeros((2, 1, 3, 3))
    means[0, 0], means[1, 0] = 0.7, -0.7
    return GaussianDenoiser(means, np.broadcast_to(0.25 * np.eye(9), (2, 9, 9)))


class MeanPixel:
    """Logits that grow with the mean pixel and its opposite: guidance always raises that of the class."""

    labels = ("bright", "dark")

    def logits(self, images):
        mean = images.mean((1, 2, 3))
        return torch.stack([mean, -mean], dim=1)

    def describe(self):
        return {"name": "mean pixel"}


def test_blocks_are_made_once_and_belong_to_one_trial(net, tmp_path, monkeypatch):
    made = list(blocks(net, "zero-label", [MeanPixel(), MeanPixel()], SETTINGS, 2, tmp_path))
    assert made[0].guided.shape == (2, 2, 3, 3, 2, 2)
    assert np.isnan(made[0].guided[:, :, 2, 0]).all()
    assert np.isfinite(made[0].guided[:, :, 0, 2]).all()

    def forbidden(*arguments):
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(trial, "_made", forbidden)
        again = list(blocks(net, "zero-label", [MeanPixel(), MeanPixel()], SETTINGS, 2, tmp_path))
    for one, other in zip(made, again, strict=True):
        np.testing.assert_array_equal(one.guided, other.guided)
        assert one.evaluations == other.evaluations
    with pytest.raises(InvalidInputError, match="expected the same trial, or another directory"):
        next(blocks(net, "zero-label", [MeanPixel()], SETTINGS, 1, tmp_path))
    (tmp_path / "intervals-0000.npz").write_bytes(b"PK")
    with pytest.raises(ResultFileError, match="is damaged"):
        next(blocks(net, "zero-label", [MeanPixel(), MeanPixel()], SETTINGS, 1, tmp_path))


def test_report(net, tmp_path):
    judges = [MeanPixel(), MeanPixel()]
    made = list(blocks(net, "zero-label", judges, SETTINGS, 4, tmp_path / "intervals"))
    measured = measure_information(net, runs=32, sigmas=np.geomspace(8.0, 0.3, 8), sample_steps=6)
    sigma = measured["sigma"].to_numpy()
    rates = {"class": (sigma, measured["class_rate"].mean("image").to_numpy())}
    steps = list(step_blocks(net, SETTINGS, rates, 2, tmp_path / "steps"))
    assert steps[0].errors.shape == (2, 1, 2, 2)
    assert sum(block.evaluations for block in made) == grid_evaluations(SETTINGS, 4 * net.label_dim)
    other = {"class": (sigma, 2.0 * rates["class"][1] + sigma)}
    with pytest.raises(InvalidInputError, match="holds parts of another trial of step grids, with rates"):
        next(step_blocks(net, SETTINGS, other, 2, tmp_path / "steps"))
    reference = np.random.default_rng(0).standard_normal((50, 1, 3, 3)).astype(np.float32)
    report = trial_report(
        made, steps, guidance_window(measured), SETTINGS, judges[0], reference, {"nowhere": 100.0, "middle": 1.5}
    )
    json.dumps(report, allow_nan=False)
    assert report["images"] == 8
    target = np.arange(2)
    plain = np.mean([block.unguided[:, target, target] for block in made])
    for at, entry in enumerate(report["metrics"]["logit"]["by_weight"]):
        gains = np.mean([block.guided[:, at][..., target, target] for block in made], axis=(0, 1, 4)) - plain
        assert gains[tuple(entry["best"])] == pytest.approx(np.nanmax(gains), rel=1e-5)
        shares = {name: one["share"] for name, one in entry["windows"].items()}
        # Levels 8, 1.9 and 0.3: the second alone lies within a factor of two of 1.5.
        assert shares["whole range"] == pytest.approx(gains[0, 2] / np.nanmax(gains), rel=1e-4)
        assert shares["middle"] == pytest.approx(gains[1, 1] / np.nanmax(gains), rel=1e-4)
        assert shares["nowhere"] == 0.0
    assert "share of the best gain" in trial_table(report)
    assert len(figures.draw_trial(report).axes) == 8


def test_frechet_distance_of_known_gaussians():
    """Independent axes: (difference of means)^2 + (difference of deviations)^2, summed."""
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((200_000, 3)) * [1.0, 2.0, 0.5] + [0.0, 1.0, 0.0]
    found = frechet_distance(samples, np.zeros(3), np.diag([4.0, 1.0, 0.25]))
    assert found == pytest.approx(1.0 + 1.0 + 1.0, rel=0.02)
