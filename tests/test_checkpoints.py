"""Checkpoints, weights and samples of networks: damage is noticed, and two processes do not share a directory."""

import pickle

import numpy as np
import pytest
from test_damage import outcomes

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from fastpatch.atomic import exclusive_directory  # noqa: E402
from fastpatch.digests import check_digest  # noqa: E402
from fastpatch.errors import OutputError, ResultFileError  # noqa: E402
from fastpatch.neural.checkpoint import Progress, load_checkpoint, save_checkpoint  # noqa: E402
from fastpatch.neural.pulse.store import SampleStore, Strips, Unguided  # noqa: E402
from fastpatch.neural.tensor_file import read_tensors, write_tensors  # noqa: E402
from fastpatch.neural.unet.settings import TrainingSettings  # noqa: E402
from fastpatch.neural.unet.training import train  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def small_training():
    """A network and its optimiser after one step."""
    torch.manual_seed(3)
    net = torch.nn.Linear(6, 5)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(2, 6)).sum().backward()
    optimizer.step()
    return net, optimizer


def state(net, optimizer):
    moments = [value for kept in optimizer.state_dict()["state"].values() for value in kept.values()]
    return [tensor.clone() for tensor in (*net.state_dict().values(), *moments)]


@pytest.fixture
def checkpoint(tmp_path):
    net, optimizer = small_training()
    path = tmp_path / "net.checkpoint"
    save_checkpoint(path, {"seed": 3}, Progress(steps=1), {"model": net}, optimizer)
    return path, state(net, optimizer)


def resumed(path):
    net, optimizer = small_training()
    progress = load_checkpoint(path, {"seed": 3}, {"model": net}, optimizer)
    return progress, state(net, optimizer)


def test_a_checkpoint_with_a_flipped_bit_is_refused_or_as_it_was(checkpoint):
    path, whole = checkpoint

    def is_as_it_was(found):
        progress, tensors = found
        return progress.steps == 1 and all(map(torch.equal, tensors, whole))

    tried, refused = outcomes(path, resumed, is_as_it_was)
    assert refused == tried


def test_a_checkpoint_without_a_digest_goes_on_and_has_one_from_then_on(checkpoint):
    path, whole = checkpoint
    # As torch wrote it: without the digest, and without the comment that holds it.
    bare = path.read_bytes()[:-82]
    path.write_bytes(bare[:-2] + b"\0\0")
    check_digest(path)
    content = torch.load(path, weights_only=True)
    assert content["format"] == 2
    net, optimizer = small_training()
    progress = load_checkpoint(path, {"seed": 3}, {"model": net}, optimizer)
    assert all(map(torch.equal, state(net, optimizer), whole))
    save_checkpoint(path, {"seed": 3}, progress, {"model": net}, optimizer)
    assert path.read_bytes()[-82:].startswith(b"fastpatch-sha256:")
    assert torch.load(path, weights_only=True)["progress"]["steps"] == 1


class Trap:
    def __reduce__(self):
        return (print, ("unpickled",))


@pytest.mark.parametrize("write", [pickle.dumps, None])
def test_a_checkpoint_that_would_run_code_is_refused_without_advice_to_run_it(write, tmp_path, capsys):
    path = tmp_path / "net.checkpoint"
    if write is None:
        torch.save({"format": 2, "identity": Trap()}, path)
    else:
        path.write_bytes(write(Trap()))
    with pytest.raises(ResultFileError, match=r"net\.checkpoint is not a readable checkpoint \(") as raised:
        resumed(path)
    assert "weights_only" not in str(raised.value)
    assert "unpickled" not in capsys.readouterr().out


def test_weights_with_a_flipped_bit_are_refused_or_as_they_were(tmp_path):
    path = tmp_path / "net.safetensors"
    whole = {"a": torch.randn(40, 5), "b": torch.randn(30).bfloat16(), "scalar": torch.tensor(2.0)}
    write_tensors(path, whole, {"name": "a network"})

    def is_as_it_was(found):
        card, tensors = found
        return card == {"name": "a network"} and all(torch.equal(tensors[name], whole[name]) for name in whole)

    tried, refused = outcomes(path, read_tensors, is_as_it_was)
    # Its header is text of the format's own, in which the names of entries that nobody asks for may change.
    assert refused >= tried - 3


def test_weights_without_a_digest_are_accepted(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.ones(3)}, tmp_path / "old.safetensors", metadata={"format": "pt", "fastpatch": "{}"})
    assert read_tensors(tmp_path / "old.safetensors")[0] == {}


SHAPE = (1, 4, 4)


def images(*lengths):
    return np.random.default_rng(1).standard_normal((*lengths, *SHAPE)).astype(np.float32)


@pytest.fixture
def store(tmp_path):
    made = SampleStore(tmp_path / "samples", {"seed": 1}, SHAPE)
    made.save_branches(0, 0, images(3), np.full((3, 4), 0.5, np.float32))
    made.save_unguided(0, Unguided(images(3), (2, 5), images(2, 3)))
    made.save_strips(Strips((0, 3), images(2, 2), images(2, 2)))
    return made


def test_samples_with_a_flipped_bit_are_refused_or_as_they_were(store):
    for name, read in (
        ("branches-0000-0000.npz", lambda _: store.branches(0, 0, 3)),
        ("unguided-0000.npz", lambda _: store.unguided(0, 3)[0]),
        ("strips.npz", lambda _: store.strips(2, 8).critical),
    ):
        expected = read(None)
        path = store.directory / name
        whole = path.read_bytes()
        tried, refused = outcomes(path, read, lambda found, expected=expected: np.array_equal(found, expected))
        assert refused == tried
        path.write_bytes(whole)


@pytest.mark.parametrize(
    "change",
    [
        {"images": np.zeros((3, 1, 4, 5), np.float32)},
        {"images": np.zeros((3, 1, 4, 4))},
        {"images": np.full((3, 1, 4, 4), np.nan, np.float32)},
        {"steps": np.array([2.0, 5.0])},
        {"steps": np.array([2])},
        {"states": np.zeros((2, 2, 1, 4, 4), np.float32)},
        {"states": np.array(["text"])},
    ],
)
def test_samples_that_no_experiment_makes_are_refused(change, store):
    path = store.directory / "unguided-0000.npz"
    np.savez(path, **({"images": images(3), "steps": np.array([2, 5]), "states": images(2, 3)} | change))
    with pytest.raises(ResultFileError, match=r"unguided-0000\.npz holds .*; expected"):
        store.unguided(0, 3)


def test_strips_beyond_the_grid_are_refused(store):
    with pytest.raises(ResultFileError, match=r"strips\.npz holds other steps than images"):
        store.strips(2, 3)


def test_deep_manifests_are_one_sentence(store):
    (store.directory / "manifest.json").write_text('{"identity": ' + "[" * 60000)
    with pytest.raises(ResultFileError, match=r"manifest\.json is not readable \(.*\); expected one written"):
        SampleStore(store.directory, {"seed": 1}, SHAPE)


def test_two_experiments_in_one_directory_are_refused(store):
    with (
        store.in_use(),
        pytest.raises(OutputError, match="samples is in use by another pulse experiment; expected one at a time"),
        SampleStore(store.directory, {"seed": 1}, SHAPE).in_use(),
    ):
        pytest.fail("both have it")


def test_two_trainings_in_one_directory_are_refused(tmp_path):
    fields = np.ones((4, 1, 8, 8), np.float32)
    settings = TrainingSettings(epochs=1, batch_size=4)
    with (
        exclusive_directory(tmp_path, "training"),
        pytest.raises(OutputError, match="is in use by another training; expected one at a time"),
    ):
        train(fields, settings, tmp_path, device="cpu")
    assert list(tmp_path.iterdir()) == []
