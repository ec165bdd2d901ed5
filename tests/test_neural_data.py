"""Reading, verifying and finding Fashion-MNIST."""

import gzip
import hashlib
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from fastpatch.errors import FastpatchError, InvalidInputError
from fastpatch.neural import data as module
from fastpatch.neural.data import DataFileError, image_hash, load_images, load_labels, pad_images

REAL = Path(__file__).resolve().parents[2] / "shared" / "fashion-mnist"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason="Fashion-MNIST is not beside the repository")

GREY = np.arange(2 * 28 * 28, dtype=np.uint32).reshape(2, 28, 28).astype(np.uint8)  # every grey value


def idx_bytes(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(autouse=True)
def _no_ambient_data(monkeypatch):
    monkeypatch.delenv(module.DATA_VARIABLE, raising=False)


@pytest.fixture
def published(monkeypatch):
    """A small file in the place of the test images; returns its name and bytes."""
    content = idx_bytes(GREY)
    entry = module._IMAGES["test"]._replace(sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(module._IMAGES, "test", entry)
    return entry.name, content


@needs_real_data
def test_real_training_images_binarised_and_grey():
    binarised = load_images("train", "binarised", REAL)
    grey = load_images("train", "grey", REAL)
    for images in (binarised, grey):
        assert images.shape == (60000, 1, 28, 28)
        assert images.dtype == np.float32
    assert grey.min() == -1.0
    assert grey.max() == 1.0
    # No grey value equals one half, so the threshold is the sign of 2p - 1.
    np.testing.assert_array_equal(binarised, np.sign(grey))


@needs_real_data
def test_real_labels_are_balanced():
    for split, per_class in (("train", 6000), ("test", 1000)):
        labels = load_labels(split, REAL)
        np.testing.assert_array_equal(np.bincount(labels), np.full(10, per_class))


@needs_real_data
def test_real_data_plain_and_compressed_agree(tmp_path, monkeypatch):
    name = "t10k-images-idx3-ubyte"
    (tmp_path / name).write_bytes(gzip.decompress((REAL / f"{name}.gz").read_bytes()))
    monkeypatch.setenv(module.DATA_VARIABLE, str(tmp_path))
    plain = load_images("test", "grey")
    np.testing.assert_array_equal(plain, load_images("test", "grey", REAL))
    assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == image_hash("test")


def test_threshold_and_grey_scale(tmp_path, published):
    name, content = published
    (tmp_path / name).write_bytes(content)
    binarised = load_images("test", "binarised", tmp_path)
    grey = load_images("test", "grey", tmp_path)
    np.testing.assert_array_equal(binarised[:, 0], np.where(GREY / 255.0 > 0.5, 1.0, -1.0))
    np.testing.assert_allclose(grey[:, 0], 2.0 * (GREY / 255.0) - 1.0, atol=1e-7)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda b: b[:-1], id="truncated"),
        pytest.param(lambda b: b[:100] + bytes([b[100] ^ 1]) + b[101:], id="one bit flipped"),
        pytest.param(lambda b: b + b"\0", id="longer"),
        pytest.param(lambda b: b"", id="empty"),
    ],
)
@pytest.mark.parametrize("compress", [False, True])
def test_altered_content_names_file_and_both_hashes(tmp_path, published, damage, compress):
    name, content = published
    damaged = damage(content)
    path = tmp_path / (f"{name}.gz" if compress else name)
    path.write_bytes(gzip.compress(damaged) if compress else damaged)
    with pytest.raises(DataFileError) as caught:
        load_images("test", data=tmp_path)
    message = str(caught.value)
    assert str(path) in message
    assert hashlib.sha256(damaged).hexdigest() in message
    assert hashlib.sha256(content).hexdigest() in message
    assert isinstance(caught.value, FastpatchError)


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b"no gzip", lambda b: b[:40] + b"\xff" * 9 + b[49:]])
def test_damaged_archive(tmp_path, published, damage):
    name, content = published
    (tmp_path / f"{name}.gz").write_bytes(damage(gzip.compress(content)))
    with pytest.raises(DataFileError, match=f"{name}.gz.*expected {name} with SHA-256 {image_hash('test')}"):
        load_images("test", data=tmp_path)


def test_missing_file_in_named_directory_is_not_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_cached", lambda *_: pytest.fail("downloaded"))
    with pytest.raises(DataFileError, match=r"holds neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz"):
        load_images("train", data=tmp_path)


def test_argument_precedes_environment(tmp_path, published, monkeypatch):
    name, content = published
    (tmp_path / name).write_bytes(content)
    monkeypatch.setenv(module.DATA_VARIABLE, str(tmp_path / "nowhere"))
    assert load_images("test", data=tmp_path).shape == (2, 1, 28, 28)
    with pytest.raises(DataFileError, match="nowhere"):
        load_images("test")


def test_download_tries_the_second_mirror_and_verifies(tmp_path, published, monkeypatch):
    pooch = pytest.importorskip("pooch", reason="pooch, which downloads, is not installed")
    name, content = published
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append(url)
        assert known_hash == "md5:bef4ecab320f06d8554ea6380940ec79"
        if len(asked) == 1:
            raise ConnectionError("unreachable")
        (tmp_path / fname).write_bytes(gzip.compress(content))
        return str(tmp_path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert load_images("test").shape == (2, 1, 28, 28)
    assert [url.endswith(f"/{name}.gz") for url in asked] == [True, True]


def test_offline_says_how_to_supply_the_files(monkeypatch):
    pooch = pytest.importorskip("pooch", reason="pooch, which downloads, is not installed")

    def unreachable(**_):
        raise ConnectionError("no route")

    monkeypatch.setattr(pooch, "retrieve", unreachable)
    with pytest.raises(
        DataFileError, match=r"train-images.*by hand.*directory and name it by --data or FASTPATCH_DATA"
    ):
        load_images("train")


def test_without_download_only_the_cache_is_looked_at(tmp_path, published, monkeypatch):
    pooch = pytest.importorskip("pooch", reason="pooch, which downloads, is not installed")
    name, content = published
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path)
    with pytest.raises(DataFileError, match=rf"{name} is not on this machine; expected .*--data or FASTPATCH_DATA"):
        load_images("test", download=False)
    (tmp_path / "fashion-mnist").mkdir()
    (tmp_path / "fashion-mnist" / f"{name}.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(pooch, "retrieve", lambda fname, path, **_: str(path / fname))
    assert load_images("test", download=False).shape == (2, 1, 28, 28)


def test_without_pooch(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DataFileError, match=r"needs pooch.*FASTPATCH_DATA"):
        load_images("train")


def test_unknown_names():
    with pytest.raises(InvalidInputError, match="split is 'validation'; expected one of train, test"):
        load_images("validation")
    with pytest.raises(InvalidInputError, match="variant is 'gray'; expected one of binarised, grey"):
        load_images("train", "gray")


def test_padding_centres_the_field_on_background():
    fields = np.random.default_rng(0).uniform(-1.0, 1.0, (3, 1, 28, 26)).astype(np.float32)
    padded = pad_images(fields, 32)
    assert padded.shape == (3, 1, 32, 32)
    assert padded.dtype == np.float32
    np.testing.assert_array_equal(padded[:, :, 2:30, 3:29], fields)
    assert padded.sum(dtype=np.float64) == pytest.approx(fields.sum(dtype=np.float64) - 3 * (32 * 32 - 28 * 26))
    for side in (26, 29):
        with pytest.raises(InvalidInputError, match=f"28 x 26 pixels have no centre in {side} x {side}"):
            pad_images(fields, side)
