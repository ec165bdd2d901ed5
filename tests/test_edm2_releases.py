"""Networks released by name: downloaded once, refused when they change, supplied by hand where there is no network."""

import hashlib
import sys

import pytest
from edm2_cases import random_network
from pickles import pickled
from snapshots import snapshot

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from fastpatch.errors import ResultFileError
from fastpatch.neural.edm2 import RELEASES, load, save_network

NAME = RELEASES[0]


@pytest.fixture(scope="module")
def net():
    return random_network()


@pytest.fixture
def pooch(monkeypatch, tmp_path):
    """Pooch with a cache of its own, which only the test's ``retrieve`` fills."""
    pooch = pytest.importorskip("pooch", reason="pooch, which downloads, is not installed")
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path / "cache")
    monkeypatch.setattr(pooch, "retrieve", lambda **_: pytest.fail("downloaded"))
    (tmp_path / "cache" / "edm2").mkdir(parents=True)
    return pooch


def cached(tmp_path):
    return tmp_path / "cache" / "edm2" / f"{NAME}.pkl"


def test_downloaded_once_and_its_hash_recorded(net, pooch, tmp_path, monkeypatch):
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash))
        (path / fname).write_bytes(pickled(snapshot(net)))

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    first = load(NAME)
    assert load(f"{NAME}.pkl").card == first.card
    home = "https://nvlabs-fi-cdn.nvidia.com/edm2/posthoc-reconstructions"
    assert asked == [(f"{home}/{NAME}.pkl", None)]
    record = cached(tmp_path).with_suffix(".pkl.sha256").read_text()
    assert record == f"{hashlib.sha256(cached(tmp_path).read_bytes()).hexdigest()}  {NAME}.pkl\n"
    assert "CC BY-NC-SA 4.0" in first.card["licence"]
    # Downloaded anew, it has to be the same file.
    cached(tmp_path).unlink()
    load(NAME)
    assert asked[1][1] == f"sha256:{record.split()[0]}"


def test_a_later_change_is_refused(net, pooch, tmp_path):
    cached(tmp_path).write_bytes(pickled(snapshot(net)))
    load(NAME)
    cached(tmp_path).write_bytes(pickled(snapshot(net, "<f4")))
    with pytest.raises(ResultFileError, match=r"has SHA-256 \w{64}; expected \w{64}, on record in"):
        load(NAME)


def test_another_file_than_on_record_is_not_accepted(pooch, tmp_path, monkeypatch):
    def retrieve(**_):
        raise ValueError("SHA256 hash of downloaded file does not match")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    cached(tmp_path).with_suffix(".pkl.sha256").write_text(f"{'0' * 64}  {NAME}.pkl\n")
    with pytest.raises(ResultFileError, match=r"has another SHA-256 than 0{64}, the one on record in .*by hand"):
        load(NAME)


def test_what_is_no_network_does_not_stay(pooch, tmp_path, monkeypatch):
    monkeypatch.setattr(pooch, "retrieve", lambda fname, path, **_: (path / fname).write_text("<!DOCTYPE html>"))
    with pytest.raises(ResultFileError, match="begins like neither safetensors nor a pickle"):
        load(NAME)
    assert [*cached(tmp_path).parent.iterdir()] == []


def test_offline_says_how_to_supply_the_file(pooch, monkeypatch):
    def retrieve(**_):
        raise ConnectionError("no network")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(ResultFileError) as caught:
        load(NAME)
    message = str(caught.value)
    assert f"{NAME} could not be downloaded (ConnectionError at https://" in message
    assert "to supply it by hand, give the path of a copy instead of the name" in message


def test_without_pooch(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ResultFileError, match=r"needs pooch .*fastpatch\[neural\].*by hand, give the path"):
        load(NAME)


def test_a_local_file_comes_first(net, pooch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).write_bytes(pickled(snapshot(net)))
    assert load(NAME).architecture == net.architecture


def test_unknown_names(pooch):
    with pytest.raises(ResultFileError, match=f"edm2-img64-s does not exist; .*one of the releases {NAME}, edm2"):
        load("edm2-img64-s")


def test_safetensors_in_the_place_of_a_release(net, pooch, tmp_path):
    save_network(cached(tmp_path), net, {})
    with pytest.raises(ResultFileError, match="is a safetensors file; expected the released snapshot"):
        load(NAME)
    assert cached(tmp_path).exists()
