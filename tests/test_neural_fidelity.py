"""Statistics of samples beside the data's: do copies show, and does noise not?"""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

from fastpatch.analysis import correlation_length
from fastpatch.analysis.figures import draw_fidelity, draw_samples, save_figure
from fastpatch.errors import InvalidInputError
from fastpatch.neural import compare_with_data, nearest_neighbours


def images(count, seed):
    return np.sign(np.random.default_rng(seed).standard_normal((count, 6, 7))).astype(np.float32)


def test_nearest_neighbours_by_brute_force():
    rng = np.random.default_rng(0)
    queries, references = rng.standard_normal((5, 6, 7)), rng.standard_normal((9000, 6, 7))  # more than one block
    difference = np.sqrt(((queries[:, None] - references) ** 2).mean(axis=(-2, -1)))
    index, distance = nearest_neighbours(queries, references)
    np.testing.assert_array_equal(index, difference.argmin(axis=1))
    np.testing.assert_allclose(distance, difference.min(axis=1), rtol=1e-5)


def test_copies_of_training_images_show():
    train, test = images(60, 1), images(20, 2)
    noise = 0.2 * np.random.default_rng(3).standard_normal((8, 6, 7)).astype(np.float32)
    found = compare_with_data(train[10:18] * (1.0 + noise), train, test)
    np.testing.assert_allclose(found["sample_to_train"], 0.0, atol=1e-3)
    np.testing.assert_array_equal(found["nearest"], train[10:18])
    assert (found["sample_to_test"] > 0.5).all()
    assert (found["reference_to_train"] > 0.5).all()
    assert found.attrs["train_share"] == 0.75


def test_statistics_are_those_of_each_group():
    train, test, samples = images(30, 1), images(20, 2), images(4, 3)
    found = compare_with_data(samples, train, test)
    np.testing.assert_allclose(found["sample_mean"], samples.mean(axis=(1, 2)), atol=1e-7)
    np.testing.assert_allclose(found["sample_length"], correlation_length(samples))
    # All test images are references, in their order.
    np.testing.assert_allclose(found["reference_mean"], test.mean(axis=(1, 2)), atol=1e-7)
    _, expected = nearest_neighbours(test, train)
    np.testing.assert_allclose(found["reference_to_train"], expected)


def test_grey_images_keep_their_values():
    rng = np.random.default_rng(0)
    train, test, samples = (rng.uniform(-1.0, 1.0, (n, 6, 6)) for n in (12, 9, 3))
    found = compare_with_data(samples, train, test, binarised=False)
    np.testing.assert_allclose(found["sample_mean"], samples.mean(axis=(1, 2)))
    np.testing.assert_allclose(found["sample_length"], correlation_length(samples, "second-moment", False))
    assert (found["sample_to_train"] > 0.0).all()


def test_refuses_images_of_another_lattice():
    with pytest.raises(InvalidInputError, match=r"'test': \(3, 6, 6\).*expected \(n, L1, L2\) on one lattice"):
        compare_with_data(images(2, 0), images(5, 1), np.ones((3, 6, 6)))


def test_figures(tmp_path):
    samples = images(11, 3)
    dataset = compare_with_data(samples, images(30, 1), images(20, 2))
    dataset = dataset.assign(final=(("trajectory", "y", "x"), samples))
    grid = draw_samples(dataset, "eleven")
    (axes,) = grid.axes
    wall = np.asarray(axes.images[0].get_array())
    H, W = samples.shape[1:]
    assert wall.shape == (3 * (H + 2), 4 * (W + 2), 3)
    assert wall[: H + 2, W + 1 : W + 3].min() == 1.0  # the gap between two images
    for number, sample in enumerate(samples):
        row, column = divmod(number, 4)
        found = wall[row * (H + 2) + 1 :, column * (W + 2) + 1 :][:H, :W]
        shade = np.clip(0.5 + 0.5 * sample, 0.0, 1.0)
        np.testing.assert_allclose(found, np.repeat(shade[..., None], 3, axis=2))
    assert wall[-H - 2 :, -W - 2 :].min() == 1.0  # the twelfth place is empty
    for name, figure in (("samples", grid), ("statistics", draw_fidelity(dataset))):
        save_figure(figure, tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 3_000
