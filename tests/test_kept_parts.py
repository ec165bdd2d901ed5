"""Measurements that are stopped on their way go on from their parts, to the same numbers."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from fastpatch.errors import InvalidInputError, ResultFileError  # noqa: E402
from fastpatch.kept_parts import KeptParts, remove_parts  # noqa: E402
from fastpatch.neural import GaussianDenoiser, analyze, measure_information  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SIGMAS = [6.0, 2.0, 0.7, 0.2]


class Stopping(GaussianDenoiser):
    """Raises what Ctrl-C raises after so many calls."""

    left = None

    def forward(self, x, sigma, class_labels=None):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
        return super().forward(x, sigma, class_labels)


@pytest.fixture
def net():
    means = np.zeros((2, 1, 8, 8))
    means[0], means[1] = 0.5, -0.5
    return Stopping(means, np.broadcast_to(0.2 * np.eye(64), (2, 64, 64)))


def test_information_goes_on_level_by_level(net, tmp_path):
    whole = measure_information(net, runs=6, sigmas=SIGMAS, sample_steps=4)
    net.left = 7 + 2 * 2 + 1  # the own samples, two levels with and without label, half of the third
    with pytest.raises(KeyboardInterrupt):
        measure_information(net, runs=6, sigmas=SIGMAS, sample_steps=4, checkpoint=tmp_path / "parts")
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == [
        "level-0000.npz", "level-0001.npz", "parts.json", "samples.npz",
    ]  # fmt: skip
    net.left = 2 * 2
    again = measure_information(net, runs=6, sigmas=SIGMAS, sample_steps=4, checkpoint=tmp_path / "parts")
    for name in ("total_rate", "class_rate", "class_rate_by_shell"):
        np.testing.assert_array_equal(again[name], whole[name])
    assert again.attrs["evaluations"] == whole.attrs["evaluations"]
    with pytest.raises(InvalidInputError, match="holds parts of another measurement, with seed 0 instead of 1"):
        measure_information(net, runs=6, sigmas=SIGMAS, sample_steps=4, seed=1, checkpoint=tmp_path / "parts")
    images = np.zeros((4, 1, 8, 8), np.float32)
    with pytest.raises(InvalidInputError, match="with images"):
        measure_information(net, images, [0, 1, 0, 1], runs=6, sigmas=SIGMAS, checkpoint=tmp_path / "parts")
    (tmp_path / "mine.txt").write_text("kept")
    remove_parts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_analysis_goes_on_level_by_level(net, tmp_path):
    asked = {"trajectories": 1, "steps": 4, "shells": range(4), "sigma_max": 6.0, "sigma_min": 0.2, "method": "vjp"}
    whole = analyze(net, information_runs=2, **asked)
    net.left = 7 + 2  # the runs, and two levels
    with pytest.raises(KeyboardInterrupt):
        analyze(net, information_runs=2, checkpoint=tmp_path, **asked)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "modes-0000.npz", "modes-0001.npz", "parts.json", "runs.npz",
    ]  # fmt: skip
    net.left = None
    again = analyze(net, information_runs=2, checkpoint=tmp_path, **asked)
    for name in ("mode_derivative", "xi_x", "total_rate"):
        np.testing.assert_array_equal(again[name], whole[name])
    net.left = 0
    analyze(net, information_runs=2, checkpoint=tmp_path, **asked)  # without a single call
    with pytest.raises(InvalidInputError, match="parts of another analysis, with shells"):
        analyze(net, checkpoint=tmp_path, **{**asked, "shells": range(5)})


def test_damaged_parts_are_named(tmp_path):
    parts = KeptParts(tmp_path, {"a": 1})
    parts.part("one", lambda: {"x": np.arange(1000.0)})
    path = tmp_path / "one.npz"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ResultFileError, match=r"one\.npz is damaged .*made again where the file is removed"):
        parts.part("one", dict)
    KeptParts(tmp_path / "other", {"a": 1})
    KeptParts(tmp_path / "other", {"a": 2})  # the first one came to nothing
    (tmp_path / "parts.json").write_text("[1")
    with pytest.raises(ResultFileError, match=r"parts\.json is not readable"):
        KeptParts(tmp_path, {"a": 1})
