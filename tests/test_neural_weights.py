"""Files of weights: what is written is read back, and nothing else is accepted."""

import json
from copy import deepcopy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from safetensors.torch import load_file, save_file  # noqa: E402

from fastpatch.errors import OutputError, ResultFileError  # noqa: E402
from fastpatch.neural.unet.model import UNetModel  # noqa: E402
from fastpatch.neural.unet.network import UNet  # noqa: E402
from fastpatch.neural.unet.weights import load_weights, read_card, save_weights, shipped_weights  # noqa: E402

CARD = {"variant": "grey", "epochs": 3, "loss_per_epoch": [0.5, 0.25, 0.125], "devices": ["a CPU, 2 threads"]}


@pytest.fixture
def saved(tmp_path):
    """A file of weights laid out as training leaves them, and its network."""
    net = UNet("circular", "v").to(memory_format=torch.channels_last)
    path = tmp_path / "unet.safetensors"
    save_weights(path, net, CARD)
    return path, net


def rewrite(path, *, tensors=None, metadata):
    save_file(load_file(path) if tensors is None else tensors, path, metadata=metadata)


def card_of(path, **changes):
    return {"fastpatch": json.dumps({**read_card(path), **changes})}


def test_round_trip_of_weights_and_card(saved):
    path, net = saved
    loaded, card = load_weights(path)
    assert card == {"architecture": net.architecture, **CARD} == read_card(path)
    assert loaded.padding == "circular"
    assert loaded.prediction == "v"
    assert not loaded.training
    for name, tensor in net.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    # In float64: two layouts of the same weights round differently.
    x = torch.linspace(-1.0, 1.0, 64, dtype=torch.float64).reshape(1, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(loaded.double()(x, 0.3), deepcopy(net).double()(x, 0.3), rtol=1e-10, atol=1e-12)


def test_small_enough_to_ship(saved):
    assert saved[0].stat().st_size < 10e6


def test_no_temporary_file_stays(saved, tmp_path):
    assert [entry.name for entry in tmp_path.iterdir()] == ["unet.safetensors"]


def test_missing_truncated_and_foreign_files(saved, tmp_path):
    path, _ = saved
    with pytest.raises(ResultFileError, match=r"nowhere.safetensors does not exist"):
        load_weights(tmp_path / "nowhere.safetensors")
    content = path.read_bytes()
    for damaged in (content[:-100], content[:50], b"", b"not a file of tensors"):
        path.write_bytes(damaged)
        with pytest.raises(ResultFileError, match=r"unet.safetensors is not a readable safetensors file"):
            load_weights(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"fastpatch": "{"}, {"fastpatch": "[]"}])
def test_a_file_without_card(saved, metadata):
    path, _ = saved
    rewrite(path, metadata=metadata)
    with pytest.raises(ResultFileError, match="has no fastpatch card"):
        load_weights(path)


def test_another_architecture(saved):
    path, net = saved
    architecture = {**net.architecture, "widths": [32, 64]}
    rewrite(path, metadata=card_of(path, architecture=architecture))
    with pytest.raises(ResultFileError, match=r"holds the architecture .*\[32, 64\].*expected .*\[64, 128\]"):
        load_weights(path)
    rewrite(path, metadata=card_of(path, architecture="transformer"))
    with pytest.raises(ResultFileError, match="holds the architecture 'transformer'"):
        load_weights(path)


def test_tensors_of_other_names_or_shapes(saved):
    path, _ = saved
    good, metadata = load_file(path), card_of(path)
    for tensors, message in (
        ({name: t for name, t in good.items() if name != "stem.weight"}, "stem.weight is missing; expected"),
        ({**good, "attention.weight": torch.zeros(2)}, "attention.weight is unknown; expected"),
        (
            {**good, "stem.weight": torch.zeros(32, 1, 3, 3)},
            r"stem.weight has shape \(32, 1, 3, 3\), not \(64, 1, 3, 3\)",
        ),
        ({"stem.weight": good["stem.weight"]}, r"is missing and \d+ more such tensors"),
    ):
        rewrite(path, tensors=tensors, metadata=metadata)
        with pytest.raises(ResultFileError, match=message):
            load_weights(path)


def test_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/unet.safetensors cannot be written"):
        save_weights(tmp_path / "file" / "unet.safetensors", UNet(), CARD)


@pytest.mark.parametrize("variant", ["binarised", "grey"])
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_all_models_ship(variant, prediction):
    net, card = load_weights(shipped_weights(variant, prediction))
    assert card["variant"] == variant
    assert card["epochs"] == len(card["loss_per_epoch"]) > 0
    assert net.architecture == UNet(prediction=prediction).architecture


@pytest.mark.parametrize("variant", ["binarised", "grey"])
def test_the_shipped_networks_know_that_noise_is_noise(variant):
    """lambda_0 = 1/2 at t = 50, where nothing of the data is left."""
    x = np.random.default_rng(0).normal(size=(2, 28, 28)).astype(np.float32)
    found = UNetModel.load(shipped_weights(variant)).mode_derivatives(x, 50.0, [0])
    np.testing.assert_allclose(found, 0.5, atol=1e-4)
