"""Training: it learns, it repeats itself bit for bit, and it survives being killed and diverging."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from fastpatch.errors import BackendUnavailableError, DtypeError, InvalidInputError, ResultFileError  # noqa: E402
from fastpatch.neural import score_training  # noqa: E402
from fastpatch.neural.devices import default_precision, resolve_device  # noqa: E402
from fastpatch.neural.unet import training as module  # noqa: E402
from fastpatch.neural.unet.network import UNet, vp_amplitudes  # noqa: E402
from fastpatch.neural.unet.settings import TrainingSettings  # noqa: E402
from fastpatch.neural.unet.training import TrainingDivergedError, denoising_loss, train  # noqa: E402
from fastpatch.neural.unet.weights import load_weights, read_card, save_weights  # noqa: E402

SETTINGS = TrainingSettings(epochs=2, batch_size=8, seed=5)
STEPS_PER_EPOCH = 3  # of 20 images: 8 + 8 + 4


def stripes(n=20, side=8):
    """Binary stripes of random phase: a tiny set with something to learn."""
    phase = np.random.default_rng(0).integers(0, 4, size=(n, 1, 1, 1))
    row = np.arange(side)[:, None] * np.ones(side)
    return np.where((row + phase) % 4 < 2, 1.0, -1.0).astype(np.float32)


def weights_in(path):
    return {name: tensor.numpy() for name, tensor in load_weights(path)[0].state_dict().items()}


def assert_identical(first, second):
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return weights_in(train(stripes(), SETTINGS, tmp_path_factory.mktemp("whole"), device="cpu"))


def test_training_reduces_the_loss(tmp_path):
    images = stripes(64)
    settings = TrainingSettings(epochs=8, batch_size=16, learning_rate=2e-3)
    path = train(images, settings, tmp_path, device="cpu")
    rng = np.random.default_rng(9)
    t = torch.from_numpy(np.exp(rng.uniform(np.log(1e-3), np.log(50.0), 64))).float()
    noise = torch.from_numpy(rng.standard_normal(images.shape, dtype=np.float32))
    with torch.no_grad():
        before = float(denoising_loss(UNet(), torch.from_numpy(images), t, noise))
        after = float(denoising_loss(load_weights(path)[0], torch.from_numpy(images), t, noise))
    assert after < 0.5 < 0.9 < before
    losses = read_card(path)["loss_per_epoch"]
    assert len(losses) == 8
    assert losses[-1] < 0.5 * losses[0]


def test_loss_of_a_network_that_knows_nothing_is_the_noise_variance():
    net = UNet()
    for weight in net.parameters():
        torch.nn.init.zeros_(weight)
    noise = torch.from_numpy(np.random.default_rng(1).standard_normal((50, 1, 28, 28), dtype=np.float32))
    with torch.no_grad():
        loss = float(denoising_loss(net, torch.ones_like(noise), torch.full((50,), 0.3), noise))
    assert loss == pytest.approx(1.0, abs=5.0 * np.sqrt(2.0 / noise.numel()))


def test_chunks_of_a_batch_change_only_rounding(tmp_path, monkeypatch, uninterrupted):
    monkeypatch.setattr(score_training, "_CPU_CHUNK", 3)
    chunked = weights_in(train(stripes(), SETTINGS, tmp_path, device="cpu"))
    for name, values in uninterrupted.items():
        # Adam's first steps are near sign(gradient) times the rate, so tiny gradients may differ by whole steps.
        assert np.median(np.abs(chunked[name] - values)) < 1e-6, name


def test_a_seed_repeats_and_another_does_not(tmp_path, uninterrupted):
    assert_identical(weights_in(train(stripes(), SETTINGS, tmp_path / "same", device="cpu")), uninterrupted)
    other = weights_in(train(stripes(), replace(SETTINGS, seed=6), tmp_path / "other", device="cpu"))
    assert not np.array_equal(other["stem.weight"], uninterrupted["stem.weight"])


def test_leaves_the_global_random_states_alone(tmp_path):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train(stripes(), replace(SETTINGS, epochs=1), tmp_path, device="cpu")
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


class Killed(BaseException):
    pass


@pytest.mark.parametrize("steps", range(1, 2 * STEPS_PER_EPOCH))
def test_resumes_exactly_after_any_step(tmp_path, monkeypatch, uninterrupted, steps):
    step, done = module._Session._step, []

    def fatal(self, chosen):
        if len(done) == steps:
            raise Killed
        done.append(chosen)
        return step(self, chosen)

    with monkeypatch.context() as patch:
        patch.setattr(module._Session, "_step", fatal)
        with pytest.raises(Killed):
            train(stripes(), SETTINGS, tmp_path, device="cpu", checkpoint_minutes=0.0)
    resumed = train(stripes(), SETTINGS, tmp_path, device="cpu")
    assert_identical(weights_in(resumed), uninterrupted)
    assert read_card(resumed)["steps"] == 2 * STEPS_PER_EPOCH


@pytest.mark.parametrize("minutes", [0.0, 1e9])
def test_resumes_exactly_when_killed_between_weights_and_checkpoint(tmp_path, monkeypatch, uninterrupted, minutes):
    def fatal(*_):
        raise Killed

    save = score_training.save_network
    with monkeypatch.context() as patch:
        patch.setattr(score_training, "save_network", lambda *arguments: (save(*arguments), fatal()))
        with pytest.raises(Killed):
            train(stripes(), SETTINGS, tmp_path, device="cpu", checkpoint_minutes=minutes)
    assert_identical(weights_in(train(stripes(), SETTINGS, tmp_path, device="cpu")), uninterrupted)


def test_more_epochs_continue_a_finished_training(tmp_path, uninterrupted):
    first = train(stripes(), replace(SETTINGS, epochs=1), tmp_path, device="cpu")
    assert read_card(first)["epochs"] == 1
    assert_identical(weights_in(train(stripes(), SETTINGS, tmp_path, device="cpu")), uninterrupted)
    with pytest.raises(InvalidInputError, match=r"epochs is 1, but .* already holds 2"):
        train(stripes(), replace(SETTINGS, epochs=1), tmp_path, device="cpu")


KILLED_SCRIPT = """
import sys
import numpy as np
from fastpatch.neural.unet import TrainingSettings, train
images = np.load(sys.argv[1])
train(images, TrainingSettings(epochs=200, batch_size=8, seed=5), sys.argv[2], device="cpu", checkpoint_minutes=0.0)
"""


def test_resumes_exactly_after_sigkill(tmp_path):
    """A real process, stopped and continued, then killed in the middle of whatever it is doing."""
    np.save(tmp_path / "images.npy", stripes())
    out = tmp_path / "out"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_SCRIPT, str(tmp_path / "images.npy"), str(out)], env=environment
    )
    try:
        deadline = time.monotonic() + 120.0
        while not (out / "unet-binarised.safetensors").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.3)
    finally:
        process.kill()
        process.wait()
    completed = torch.load(out / "unet-binarised.checkpoint", weights_only=True)["progress"]["epoch"]
    settings = replace(SETTINGS, epochs=completed + 1)
    resumed = weights_in(train(stripes(), settings, out, device="cpu"))
    assert_identical(resumed, weights_in(train(stripes(), settings, tmp_path / "whole", device="cpu")))


def test_refuses_the_checkpoint_of_other_settings(tmp_path):
    settings = replace(SETTINGS, epochs=1)
    train(stripes(), settings, tmp_path, device="cpu")
    changed = replace(settings, seed=7, learning_rate=1e-3)
    message = "learning_rate 0.0002 instead of 0.001, seed 5 instead of 7; expected the same settings"
    with pytest.raises(InvalidInputError, match=message):
        train(stripes(), changed, tmp_path, device="cpu")
    with pytest.raises(InvalidInputError, match="data_sha256"):
        train(-stripes(), settings, tmp_path, device="cpu")


def test_unreadable_checkpoint(tmp_path):
    path = tmp_path / "unet-binarised.checkpoint"
    train(stripes(), replace(SETTINGS, epochs=1), tmp_path, device="cpu")
    for damaged in (path.read_bytes()[:1000], b"", b"something else"):
        path.write_bytes(damaged)
        with pytest.raises(ResultFileError, match=r"unet-binarised.checkpoint is not a readable checkpoint"):
            train(stripes(), SETTINGS, tmp_path, device="cpu")


def test_nan_loss_stops_and_keeps_the_last_checkpoint_and_weights(tmp_path, monkeypatch):
    train(stripes(), replace(SETTINGS, epochs=1), tmp_path, device="cpu")
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    loss, calls = module.denoising_loss, []

    def poisoned(*arguments):
        calls.append(None)
        return loss(*arguments) * (float("nan") if len(calls) == 2 else 1.0)

    monkeypatch.setattr(module, "denoising_loss", poisoned)
    with pytest.raises(
        TrainingDivergedError, match=r"in step 5: the loss is nan.*checkpoint keeps the state after step 3"
    ):
        train(stripes(), SETTINGS, tmp_path, device="cpu")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_divergence_in_the_first_step_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "denoising_loss", lambda net, *_: sum(w.sum() for w in net.parameters()) * float("inf"))
    with pytest.raises(
        TrainingDivergedError, match=r"in step 1: the loss is -?(inf|nan).*no checkpoint was written yet"
    ):
        train(stripes(), SETTINGS, tmp_path, device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_not_saved(tmp_path, monkeypatch):
    train(stripes(), replace(SETTINGS, epochs=1), tmp_path, device="cpu")
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}

    @torch.no_grad()
    def overflow(self, closure=None):
        self.param_groups[0]["params"][-1].fill_(float("inf"))

    monkeypatch.setattr(torch.optim.AdamW, "step", overflow)
    with pytest.raises(TrainingDivergedError, match="in step 4: a weight is not finite"):
        train(stripes(), SETTINGS, tmp_path, device="cpu", checkpoint_minutes=0.0)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_card_says_what_was_done(tmp_path):
    card = read_card(train(stripes(), SETTINGS, tmp_path, device="cpu", data_sha256="abc"))
    expected = {"variant": "binarised", "epochs": 2, "seed": 5, "steps": 6, "images": 20, "data_sha256": "abc"}
    assert {name: card[name] for name in expected} == expected
    assert card["command"] is None  # the command line trains on Fashion-MNIST, not on these images
    assert card["versions"]["torch"] == torch.__version__
    assert len(card["loss_per_epoch"]) == 2
    assert card["devices"][0].endswith(("thread", "threads"))


def test_bfloat16_learns_like_float32(tmp_path):
    images, losses = stripes(64), {}
    for precision in ("float32", "bfloat16"):
        settings = TrainingSettings(epochs=6, batch_size=16, learning_rate=1e-3, precision=precision)
        path = train(images, settings, tmp_path / precision, device="cpu")
        losses[precision] = read_card(path)["loss_per_epoch"]
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.05)


def test_precision_follows_the_hardware(monkeypatch):
    cpu = torch.device("cpu")
    for capabilities, expected in (
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"avx512_f": True, "avx512_bf16": False}, "float32"),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found, raising=False)
        assert default_precision(cpu) == expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert default_precision(cpu) == "float32"


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    for name in ("tpu", "meta", ""):
        with pytest.raises(InvalidInputError, match="expected 'cpu', 'cuda' or 'cuda:N'"):
            resolve_device(name)
    with pytest.raises(BackendUnavailableError, match=r"cuda:99.*finds \d+ CUDA devices"):
        resolve_device("cuda:99")


def test_refuses_unsuitable_images_and_settings(tmp_path):
    with pytest.raises(InvalidInputError, match=r"images has shape \(4, 3, 8, 8\)"):
        train(np.zeros((4, 3, 8, 8), np.float32), SETTINGS, tmp_path)
    with pytest.raises(InvalidInputError, match=r"images has shape \(4, 1, 8, 10\)"):
        train(np.zeros((4, 1, 8, 10), np.float32), SETTINGS, tmp_path)
    with pytest.raises(DtypeError, match="images has dtype uint8"):
        train(np.zeros((4, 1, 8, 8), np.uint8), SETTINGS, tmp_path)
    with pytest.raises(InvalidInputError, match="images holds nan"):
        train(np.full((4, 1, 8, 8), np.nan, np.float32), SETTINGS, tmp_path)
    for setting, message in (
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"variant": "gray"}, "variant is 'gray'"),
        ({"precision": "float16"}, "precision is 'float16'"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            TrainingSettings(**setting)


def test_goes_on_from_weights_whose_checkpoint_is_gone(tmp_path, uninterrupted):
    first = train(stripes(), replace(SETTINGS, epochs=1), tmp_path / "first", device="cpu")
    path = train(stripes(), SETTINGS, tmp_path / "second", device="cpu", earlier=first)
    card, before = read_card(path), read_card(first)
    assert (card["epochs"], card["steps"]) == (2, 2 * STEPS_PER_EPOCH)
    assert card["loss_per_epoch"][:1] == before["loss_per_epoch"]
    assert len(card["loss_per_epoch"]) == 2
    assert card["continues"] | {"architecture": before["architecture"]} == before | {
        "sha256": hashlib.sha256(first.read_bytes()).hexdigest()
    }
    # AdamW's moments are lost, the data's order and the noise are not: close to the whole training, not equal.
    whole = np.concatenate([values.ravel() for values in uninterrupted.values()])
    found = np.concatenate([values.ravel() for values in weights_in(path).values()])
    start = np.concatenate([values.ravel() for values in weights_in(first).values()])
    assert 0.0 < np.linalg.norm(found - whole) < np.linalg.norm(found - start)


def test_the_loss_of_v_is_that_of_the_noise_over_alpha_squared():
    torch.manual_seed(3)
    net = UNet(prediction="v").double()
    x0, noise = torch.randn(2, 3, 1, 8, 8, dtype=torch.float64)
    for t in (0.05, 0.7, 6.0):
        times = torch.full((3,), t, dtype=torch.float64)
        alpha, sigma = (float(amplitude[0]) for amplitude in vp_amplitudes(times))
        with torch.no_grad():
            error = (net(alpha * x0 + sigma * noise, times) - noise).square().mean()
            loss = denoising_loss(net, x0, times, noise)
        assert float(loss) == pytest.approx(float(error) / alpha**2, rel=1e-10)


def test_weights_that_predict_another_quantity_are_taken_over_without_their_epochs(tmp_path):
    first = train(stripes(), replace(SETTINGS, epochs=2), tmp_path / "first", device="cpu")
    settings = replace(SETTINGS, epochs=1, prediction="v", learning_rate=1e-9)
    path = train(stripes(), settings, tmp_path / "second", device="cpu", earlier=first)
    card = read_card(path)
    assert (card["epochs"], card["steps"], len(card["loss_per_epoch"])) == (1, STEPS_PER_EPOCH, 1)
    assert card["continues"]["epochs"] == 2
    assert "prediction" not in card["continues"]["architecture"]
    before, after = weights_in(first), weights_in(path)
    assert all(np.abs(after[name] - values).max() < 1e-6 for name, values in before.items())


def test_a_training_that_goes_on_from_weights_is_resumed_without_them(tmp_path):
    first = train(stripes(), replace(SETTINGS, epochs=1), tmp_path / "first", device="cpu")
    begun = read_card(train(stripes(), SETTINGS, tmp_path / "second", device="cpu", earlier=first))
    first.unlink()
    card = read_card(train(stripes(), replace(SETTINGS, epochs=3), tmp_path / "second", device="cpu", earlier=first))
    assert len(card["loss_per_epoch"]) == 3
    assert card["continues"] == begun["continues"]


def test_weights_in_the_middle_of_an_epoch_are_not_those_of_an_epoch(tmp_path, monkeypatch):
    step = module._Session._step

    def interrupted(self, chosen):
        if self.progress.steps == STEPS_PER_EPOCH + 1:
            raise KeyboardInterrupt
        return step(self, chosen)

    monkeypatch.setattr(module._Session, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(stripes(), SETTINGS, tmp_path, device="cpu", checkpoint_minutes=0)
    (tmp_path / "unet-binarised.safetensors").unlink()
    with pytest.raises(InvalidInputError, match="is in the middle of epoch 2; expected more epochs to train for"):
        train(stripes(), replace(SETTINGS, epochs=1), tmp_path, device="cpu")


def test_weights_to_go_on_from_must_fit(tmp_path):
    first = train(stripes(), replace(SETTINGS, epochs=1), tmp_path, device="cpu")
    (tmp_path / "unet-binarised.checkpoint").unlink()
    with pytest.raises(InvalidInputError, match="what this training writes"):
        train(stripes(), SETTINGS, tmp_path, device="cpu", earlier=first)
    with pytest.raises(ResultFileError, match="holds the architecture"):
        train(stripes(), replace(SETTINGS, padding="circular"), tmp_path / "b", device="cpu", earlier=first)
    untold = tmp_path / "untold.safetensors"
    save_weights(untold, load_weights(first)[0], {})
    with pytest.raises(ResultFileError, match="does not say how it was trained"):
        train(stripes(), SETTINGS, tmp_path / "c", device="cpu", earlier=untold)
    longer = train(stripes(), SETTINGS, tmp_path / "d", device="cpu")
    with pytest.raises(InvalidInputError, match=r"epochs is 1, but .*unet-binarised.safetensors already holds 2"):
        train(stripes(), replace(SETTINGS, epochs=1), tmp_path / "e", device="cpu", earlier=longer)
