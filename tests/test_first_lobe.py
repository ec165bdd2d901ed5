"""Signs counted pair by pair against the FFT, which shares no code with it."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from fastpatch.analysis import correlation_length, length_from_correlation, radial_correlation
from fastpatch.analysis.first_lobe import first_lobe_correlation, is_large


def smooth(shape, width, seed=0):
    noise = np.random.default_rng(seed).normal(size=shape)
    return gaussian_filter(noise, width, mode="wrap").astype(np.float32)


# Sides that are and are not multiples of a word; lobes that end within and beyond the first reach.
@pytest.mark.parametrize(
    ("shape", "width"), [((512, 1024), 0.0), ((777, 1000), 3.0), ((1031, 509), 1.0), ((256, 2049), 12.0)]
)
def test_every_digit_is_that_of_the_fft(shape, width):
    field = smooth(shape, width)
    assert is_large(field.shape)
    C = first_lobe_correlation(field)
    assert (C <= 0.0).any()
    np.testing.assert_array_equal(C, radial_correlation(field)[: len(C)])


def test_zero_counts_as_positive():
    field = smooth((512, 1024), 2.0)
    field[np.abs(field) < 0.05] = 0.0
    field[::2][field[::2] == 0.0] = -0.0
    C = first_lobe_correlation(field)
    np.testing.assert_array_equal(C, first_lobe_correlation(np.where(field >= 0.0, 1.0, -1.0)))


def test_stripes_have_the_lobe_of_a_triangle_wave():
    # Along the stripes C = 1, across them a triangle wave of period 64; in the bin of length 1 they weigh the same.
    stripes = np.broadcast_to(np.where(np.arange(1024) % 64 < 32, 1.0, -1.0), (512, 1024))
    C = first_lobe_correlation(stripes)
    diagonal = 1.0 - 2.0 / 32.0
    assert C[1] == pytest.approx((2.0 + 2.0 * diagonal + 4.0 * diagonal) / 8.0)


def test_lobes_without_an_end_are_left_to_the_fft(monkeypatch):
    uniform = np.ones((512, 1024), dtype=np.float32)
    assert first_lobe_correlation(uniform) is None
    assert correlation_length(uniform) == 128.0


@pytest.mark.parametrize("estimator", ["first-moment", "second-moment"])
def test_lengths_are_the_same_either_way(monkeypatch, estimator):
    fields = np.stack([smooth((512, 1024), width, seed=1) for width in (0.5, 4.0)])[:, None]
    counted = correlation_length(fields, estimator)
    assert counted.shape == (2, 1)
    module = sys.modules[correlation_length.__module__]  # its name in the package is that of the function
    monkeypatch.setattr(module, "is_large", lambda shape: False)
    np.testing.assert_array_equal(counted, correlation_length(fields, estimator))


_MEMORY = """
import resource
import fastpatch as fp
model = fp.PatchModel(fp.PatchDictionary.random())

def peak(side):
    fp.simulate(model, (side, side), trajectories=1, times=fp.log_time_grid(3.0, steps=2), snapshots=0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

small = peak(64)
print((peak(4096) - small) / (4 * 4096**2))
"""


@pytest.mark.slow
def test_a_run_holds_little_more_than_three_fields():
    # The state, the next one, and the recorded one: 16384 x 16384 sites then fit into 4 GiB.
    done = subprocess.run([sys.executable, "-c", _MEMORY], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 3.6


def test_lengths_do_not_depend_on_how_far_the_correlation_goes_on():
    C = np.random.default_rng(0).uniform(0.0, 1.0, (200, 40))
    C[:, 0], C[:, 30] = 1.0, -0.1
    for estimator in ("first-moment", "second-moment"):
        whole = length_from_correlation(C, estimator)
        for end in (31, 32, 37):
            np.testing.assert_array_equal(length_from_correlation(C[:, :end], estimator), whole)
