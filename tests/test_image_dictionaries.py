"""Dictionaries of all patches of images, held to counting them one by one."""

from collections import Counter

import numpy as np
import pytest
from image_cases import FASHION, blobs

import fastpatch as fp
from fastpatch import image_patches
from fastpatch.errors import DtypeError, InvalidInputError


def counted(images, size, boundary):
    """Every patch as bytes of float64, and how often it occurs."""
    radius, found = size // 2, Counter()
    modes = {"periodic": {"mode": "wrap"}, "padded": {"constant_values": 0.0}}
    for image in images:
        padded = np.pad(image, radius, **modes[boundary]) if boundary in modes else image
        for i in range(padded.shape[0] - size + 1):
            for j in range(padded.shape[1] - size + 1):
                found[padded[i : i + size, j : j + size].astype(np.float64).tobytes()] += 1
    return found


@pytest.mark.parametrize("boundary", ["periodic", "interior", "padded"])
@pytest.mark.parametrize("size", [1, 3, 5, 7])
@pytest.mark.parametrize("levels", ["signs", "grey"])
def test_every_patch_is_there_with_its_frequency(levels, size, boundary):
    images = blobs(7, side=11)[:, :, :9]
    if levels == "grey":
        # Adding 0.0 turns -0.0 into 0.0.
        images = np.round(images + np.random.default_rng(1).normal(size=images.shape)) + 0.0
    expected = counted(images, size, boundary)
    dictionary = fp.PatchDictionary.from_images(images, size, boundary)
    found = {p.tobytes(): w for p, w in zip(dictionary.patterns, dictionary.prior, strict=True)}
    assert len(found) == len(dictionary) == len(expected)
    total = sum(expected.values())
    for pattern, count in expected.items():
        assert found[pattern] == pytest.approx(count / total, rel=1e-12)
    assert (dictionary.codes is not None) == (levels == "signs" and (boundary != "padded" or size == 1))


def test_counts_do_not_depend_on_how_many_images_are_sorted_at_once(monkeypatch):
    images = blobs(30, side=12)
    whole = fp.PatchDictionary.from_images(images, 5)
    monkeypatch.setattr(image_patches, "_CHUNK", 600)
    parts = fp.PatchDictionary.from_images(images, 5)
    np.testing.assert_array_equal(parts.codes, whole.codes)
    np.testing.assert_array_equal(parts.prior, whole.prior)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_patterns_as_bits_and_written_out_are_one_dictionary(size):
    images = blobs(6, side=10)
    bits = fp.PatchDictionary.from_images(images, size)
    written = fp.PatchDictionary(fp.PatchDictionary.from_images(images, size).patterns, bits.prior)
    assert "patterns" not in vars(bits)
    assert bits == written
    assert hash(bits) == hash(written)
    assert repr(bits) == repr(written)
    assert "patterns" not in vars(bits)
    np.testing.assert_array_equal(written.codes, bits.codes)
    for name in ("centers", "squared_norms", "radius", "is_z2_symmetric"):
        np.testing.assert_array_equal(getattr(bits, name), getattr(written, name))
    assert not bits.patterns.flags.writeable
    both = fp.PatchDictionary.from_images(np.concatenate([images, -images]), size)
    assert both.is_z2_symmetric
    assert not bits.is_z2_symmetric
    assert bits != both


def test_classes_select_images():
    images, labels = blobs(9, side=8), np.array([0, 1, 2] * 3)
    chosen = fp.PatchDictionary.from_images(images, 3, labels=labels, classes=(0, 2))
    assert chosen == fp.PatchDictionary.from_images(images[labels != 1], 3)
    assert fp.PatchDictionary.from_images(images, 3, labels=labels, classes=1) == fp.PatchDictionary.from_images(
        images[1::3], 3
    )


@pytest.mark.parametrize(
    ("images", "options", "error", "words"),
    [
        (blobs(2, side=8), {"boundary": "open"}, InvalidInputError, "periodic, interior, padded"),
        (blobs(2, side=8), {"size": 4}, InvalidInputError, "size is 4"),
        (blobs(2, side=8), {"size": 9}, InvalidInputError, "8x8"),
        (np.full((2, 8, 8), np.nan), {}, InvalidInputError, "nan at index \\(0, 0, 0\\)"),
        (np.zeros((8, 8)), {}, InvalidInputError, "\\(8, 8\\)"),
        (np.zeros((0, 8, 8)), {}, InvalidInputError, "N >= 1"),
        (np.zeros((2, 8, 8), dtype=complex), {}, DtypeError, "complex"),
        (blobs(2, side=8), {"labels": [0, 1]}, InvalidInputError, "only one of labels and classes"),
        (blobs(2, side=8), {"labels": [0], "classes": 0}, InvalidInputError, "\\(2,\\)"),
        (blobs(2, side=8), {"labels": [0, 1], "classes": 7}, InvalidInputError, "no image"),
    ],
)
def test_images_that_make_no_dictionary(images, options, error, words):
    with pytest.raises(error, match=words):
        fp.PatchDictionary.from_images(images, **options)


def test_the_size_is_named_before_too_much_is_written_out(monkeypatch):
    images = blobs(6, side=12)
    monkeypatch.setattr(image_patches, "MOST_PATTERN_BYTES", 10_000)
    dictionary = fp.PatchDictionary.from_images(images, 5)
    assert dictionary.centers.size == len(dictionary)
    with pytest.raises(InvalidInputError, match=f"{len(dictionary)} patterns of 5x5 would take"):
        _ = dictionary.patterns
    for options in ({"boundary": "padded"}, {"size": 9}):
        with pytest.raises(InvalidInputError, match="GiB"):
            fp.PatchDictionary.from_images(images, **options)


@pytest.mark.slow
@pytest.mark.skipif(not FASHION.is_dir(), reason="the Fashion-MNIST files are not at ../shared/fashion-mnist")
@pytest.mark.parametrize(("size", "distinct", "once"), [(3, 512, 0), (5, 1_540_867, 1_042_805)])
def test_all_of_fashion_mnist(size, distinct, once):
    pytest.importorskip("torch")
    from fastpatch.neural.data import load_images

    dictionary = fp.PatchDictionary.from_images(load_images("train", "binarised", FASHION), size)
    counts = np.round(dictionary.prior * 60_000 * 784)
    assert (len(dictionary), np.count_nonzero(counts == 1)) == (distinct, once)
    assert dictionary.codes.nbytes + dictionary.prior.nbytes <= 100e6
    assert "patterns" not in vars(dictionary)
