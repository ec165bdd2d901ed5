"""The counter-based noise: the published cipher, the documented numbering, and the law of the numbers.

Statistical bounds are five standard errors of the exact sampling distribution (about one false alarm in two million
each) or p-values above 1e-6; seeds are fixed, so a failure is a change of the generator, not bad luck.
"""

import numpy as np
import oracle
import pytest
from numba import njit
from scipy import stats

from fastpatch.errors import InvalidInputError
from fastpatch.kernels import cpu
from fastpatch.noise import NoiseStream, standard_normals

SHAPE = (8, 512, 512)
COUNT = 2**21


@pytest.fixture(scope="module")
def sample():
    z = standard_normals(SHAPE, seed=2024, step=17)
    assert z.size == COUNT
    return z.astype(np.float64)


# Known answers of the authors' Random123 library, file kat_vectors, "threefry4x32 20".
KNOWN_ANSWERS = [
    (
        "00000000 00000000 00000000 00000000",
        "00000000 00000000 00000000 00000000",
        "9c6ca96a e17eae66 fc10ecd4 5256a7d8",
    ),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        "ffffffff ffffffff ffffffff ffffffff",
        "2a881696 57012287 f6c7446e a16a6732",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0 082efa98 ec4e6c89",
        "59cd1dbb b8879579 86b5d00c ac8b6d84",
    ),
]


@njit
def threefry(*eight_words):
    return cpu.threefry4x32(*eight_words)


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_threefry_gives_the_published_answers(counter, key, expected):
    found = threefry(*(np.uint32(word) for word in words(counter) + words(key)))
    assert [int(word) for word in found] == words(expected)
    assert oracle.threefry4x32(words(counter), words(key)) == words(expected)


@pytest.mark.parametrize("seed", [0, 1, 2**32 + 5, 2**64 - 1])
@pytest.mark.parametrize("stream", list(NoiseStream))
def test_numbering_and_transform_are_the_documented_ones(seed, stream):
    step, first, (count, height, width) = 2**31 + 3, 2**32 - 2, (2, 7, 5)
    z = standard_normals((count, height, width), seed=seed, stream=stream, step=step, first_trajectory=first)
    key = [seed & 0xFFFFFFFF, seed >> 32, int(stream), 0]
    for trajectory in range(count):
        for i in range(height):
            for j in range(width):
                block = oracle.threefry4x32([j, i // 4, step, first + trajectory], key)
                radius_word, angle_word = block[:2] if i % 4 < 2 else block[2:]
                # Box-Muller: the radius from 31 bits in (0, 1], the angle from 32 bits as pi times [-1, 1).
                radius = np.sqrt(-2 * np.log(((radius_word >> 1) + 0.5) / 2**31))
                angle = np.pi * (angle_word if angle_word < 2**31 else angle_word - 2**32) / 2**31
                expected = radius * (np.cos(angle) if i % 2 == 0 else np.sin(angle))
                assert z[trajectory, i, j] == pytest.approx(expected, rel=2e-6, abs=2e-6)


def test_moments(sample):
    z = sample.ravel()
    assert np.abs(z).max() < 6.7
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(np.mean(z**power) - expected) < 5 * np.sqrt(variance / COUNT), power
    assert abs(stats.skew(z)) < 5 * np.sqrt(6 / COUNT)
    assert abs(stats.kurtosis(z)) < 5 * np.sqrt(24 / COUNT)


def test_distribution(sample):
    assert stats.kstest(sample.ravel(), "norm").pvalue > 1e-6
    # Every trajectory and every row within a block of four, in case one of them is drawn differently.
    for part in (*sample, *(sample[:, lane::4] for lane in range(4))):
        assert stats.kstest(part.ravel()[: 2**16], "norm").pvalue > 1e-6
    # The tails, of which a Kolmogorov-Smirnov test sees little.
    for bound in (3.0, 4.0, 4.5):
        expected = 2 * stats.norm.sf(bound) * COUNT
        assert abs(np.count_nonzero(np.abs(sample) > bound) - expected) < 5 * np.sqrt(expected), bound


def correlations(a, b):
    """Of the values, their squares and their signs' products with squares: each has variance 1/n if independent."""
    a, b = a.ravel(), b.ravel()
    squares = (a**2 - 1) / np.sqrt(2), (b**2 - 1) / np.sqrt(2)
    products = (a * b, squares[0] * squares[1], a * squares[1], squares[0] * b)
    return np.array([np.mean(product) for product in products]) * np.sqrt(a.size)


def test_neighbouring_sites_are_independent(sample):
    for shift in ((0, 1), (0, 2), (0, 16), (1, 0), (2, 0), (3, 0), (4, 0), (1, 1), (16, 0), (128, 128)):
        assert np.abs(correlations(sample, np.roll(sample, shift, axis=(1, 2)))).max() < 5, shift


def test_the_four_normals_of_a_block_are_independent(sample):
    # They come in pairs that share a radius, so their squares are what would betray a faulty transform.
    for a in range(4):
        for b in range(a):
            assert np.abs(correlations(sample[:, a::4], sample[:, b::4])).max() < 5, (a, b)


def test_spectrum_is_white(sample):
    # |F(q)|^2 / N of white noise is exponential at every q, whatever the lag that a correlation may hide at.
    transform = np.fft.rfft2(sample)[:, :, 1:-1] / np.sqrt(SHAPE[1] * SHAPE[2])
    assert stats.kstest(np.abs(transform.ravel()[:: 2**3]) ** 2, "expon").pvalue > 1e-6


@pytest.mark.parametrize(
    "other",
    [
        {"step": 18},
        {"step": 17 + 2**16},
        {"seed": 2025},
        {"seed": 2024 + 2**32},
        {"seed": 2024 ^ 1 << 63},
        {"stream": NoiseStream.INITIAL},
        {"first_trajectory": 8},
    ],
    ids=str,
)
def test_other_counters_and_keys_give_independent_noise(sample, other):
    z = standard_normals(SHAPE, **{"seed": 2024, "step": 17, **other}).astype(np.float64)
    assert np.abs(correlations(sample, z)).max() < 5


def test_trajectories_are_independent(sample):
    for lag in (1, 2, 4):
        assert np.abs(correlations(sample[lag:], sample[:-lag])).max() < 5


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 5), (2, 4, 16), (3, 7, 9), (3, 33, 130), (1, 5, 300)])
def test_a_larger_lattice_continues_a_smaller_one(shape):
    large = standard_normals((3, 40, 300), seed=5, step=3)
    small = standard_normals(shape, seed=5, step=3)
    np.testing.assert_array_equal(small, large[: shape[0], : shape[1], : shape[2]])


def test_first_trajectory_is_an_offset():
    everything = standard_normals((6, 9, 11), seed=5, step=3, first_trajectory=10)
    for first in range(6):
        part = standard_normals((6 - first, 9, 11), seed=5, step=3, first_trajectory=10 + first)
        np.testing.assert_array_equal(part, everything[first:])


def test_any_number_of_threads_draws_the_same(threads):
    drawn = []
    for count in (1, 2):
        threads(count)
        drawn.append(standard_normals((3, 50, 70), seed=1))
    np.testing.assert_array_equal(*drawn)


def test_float64_gets_the_same_numbers():
    single = standard_normals((2, 8, 8), seed=3)
    double = standard_normals((2, 8, 8), seed=3, dtype=np.float64)
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(single, double)


def test_the_last_counters_work_and_the_next_are_refused():
    last = standard_normals((1, 4, 4), seed=2**64 - 1, step=2**32 - 1, first_trajectory=2**32 - 1)
    assert np.isfinite(last).all()
    for arguments, message in (
        ({"seed": -1}, r"seed is -1; expected at least 0 and at most 18446744073709551615"),
        ({"seed": 2**64}, r"seed is 18446744073709551616; expected at least 0 and at most"),
        ({"seed": 0, "step": 2**32}, r"step is 4294967296; expected at least 0 and at most 4294967295"),
        ({"seed": 0, "step": -1}, r"step is -1; expected at least 0"),
        ({"seed": 0, "first_trajectory": 2**32}, r"first_trajectory is 4294967296; expected .* at most 4294967295"),
        ({"seed": 0, "first_trajectory": -1}, r"first_trajectory is -1; expected at least 0"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            standard_normals((1, 4, 4), **arguments)
    with pytest.raises(InvalidInputError, match=r"first_trajectory is 4294967294; expected .* at most 4294967293"):
        standard_normals((3, 4, 4), seed=0, first_trajectory=2**32 - 2)


@pytest.mark.parametrize("shape", [(4, 4), (1, -4, 4), (1, 2, 3, 4)])
def test_shapes_other_than_three_sides_are_refused(shape):
    with pytest.raises(InvalidInputError, match="shape"):
        standard_normals(shape, seed=0)
