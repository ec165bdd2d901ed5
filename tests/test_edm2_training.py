"""EDM2's training: loss, average and schedule against their definitions, and exact resumption."""

from dataclasses import replace

import numpy as np
import pytest
from edm2_cases import random_network

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from fastpatch.errors import DtypeError, InvalidInputError, ResultFileError  # noqa: E402
from fastpatch.neural.edm2 import training as module  # noqa: E402
from fastpatch.neural.edm2.loss import denoising_loss, training_sigma  # noqa: E402
from fastpatch.neural.edm2.settings import EDM2Settings  # noqa: E402
from fastpatch.neural.edm2.training import train  # noqa: E402
from fastpatch.neural.edm2.weights import load, read_card  # noqa: E402
from fastpatch.neural.ema import power_exponent, power_momentum, update_average  # noqa: E402
from fastpatch.neural.trainer import TrainingDivergedError  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SETTINGS = EDM2Settings(
    epochs=2,
    batch_size=8,
    rampup_steps=2,
    reference_steps=20,
    seed=5,
    model_channels=8,
    channel_mult=(1, 2),
    attn_resolutions=(4,),
    channels_per_head=8,
)
STEPS_PER_EPOCH = 3  # of 20 images: 8 + 8 + 4


def stripes(n=20, side=8):
    """Binary stripes of random phase, and their direction as the class."""
    rng = np.random.default_rng(0)
    labels, phase = rng.integers(0, 2, size=n), rng.integers(0, 4, size=(n, 1, 1))
    row = np.arange(side)[:, None] * np.ones(side)
    fields = (np.where(labels[:, None, None] == 1, row, row.T) + phase) % 4 < 2
    return np.where(fields, 1.0, -1.0).astype(np.float32)[:, None], labels


def run(out, settings=SETTINGS, **options):
    return train(*stripes(), settings, out, device="cpu", **options)


def weights_in(path):
    return {name: tensor.numpy() for name, tensor in load(path).state_dict().items()}


def assert_identical(first, second):
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return weights_in(run(tmp_path_factory.mktemp("whole")))


def test_loss_of_an_untrained_network_is_one_at_every_noise_level():
    """With F = 0 and u = 1 the weighting lambda cancels the error of D = c_skip x on data of variance sigma_data^2."""
    net = random_network(img_resolution=32)
    torch.nn.init.zeros_(net.unet.out_gain)
    torch.nn.init.zeros_(net.logvar_linear.weight)
    rng = np.random.default_rng(1)
    x0, noise = (torch.from_numpy(rng.standard_normal((40, 1, 32, 32), dtype=np.float32)) for _ in range(2))
    with torch.no_grad():
        for sigma in (0.01, 0.5, 40.0):
            loss = denoising_loss(net, net.sigma_data * x0, torch.full((40,), sigma), noise, torch.zeros(40, 3))
            assert float(loss) == pytest.approx(1.0, abs=5.0 * np.sqrt(2.0 / noise.numel()))


def test_learned_uncertainty_shifts_the_loss_as_defined():
    net = random_network()
    x0, noise = (torch.from_numpy(np.random.default_rng(i).standard_normal((1, 1, 8, 8))).float() for i in (0, 1))
    sigma, rows = torch.tensor([0.7]), torch.zeros(1, 3)
    with torch.no_grad():
        _, logvar = net(x0, sigma, return_logvar=True)
        loss = float(denoising_loss(net, x0, sigma, noise, rows))
        torch.nn.init.zeros_(net.logvar_linear.weight)
        error = float(denoising_loss(net, x0, sigma, noise, rows))
    assert float(logvar.abs()) > 0.01
    assert loss == pytest.approx(error / np.exp(float(logvar)) + float(logvar), rel=1e-5)


def test_noise_levels_are_log_normal():
    logs = training_sigma(torch.from_numpy(np.random.default_rng(0).standard_normal(20000)), -0.8, 1.6).log()
    assert float(logs.mean()) == pytest.approx(-0.8, abs=0.05)
    assert float(logs.std()) == pytest.approx(1.6, abs=0.05)


@pytest.mark.parametrize("sigma_rel", [0.05, 0.1, 0.2])
def test_average_has_the_stated_width(sigma_rel):
    """The share of each step in the average of T steps, by running the recursion on unit impulses."""
    steps = 4000
    gamma = power_exponent(sigma_rel)
    shares = np.zeros(steps)
    for step in range(1, steps + 1):
        momentum = power_momentum(gamma, step)
        shares *= momentum
        shares[step - 1] = 1.0 - momentum
    time = (np.arange(steps) + 0.5) / steps
    mean = shares @ time
    assert shares.sum() == pytest.approx(1.0)
    assert np.sqrt(shares @ (time - mean) ** 2) == pytest.approx(sigma_rel, rel=2e-3)


def test_average_starts_at_the_first_step_and_follows_the_network():
    net, average = random_network(1), random_network(2)
    update_average(average, net, power_momentum(5.0, 1))
    assert_identical(*({name: tensor.numpy() for name, tensor in n.state_dict().items()} for n in (average, net)))
    with torch.no_grad():
        net.unet.out_gain.add_(1.0)
    before = average.unet.out_gain.item()
    update_average(average, net, 0.75)
    assert average.unet.out_gain.item() == pytest.approx(before + 0.25)


@pytest.mark.parametrize("sigma_rel", [0.0, 0.3, -0.1])
def test_refuses_widths_that_no_power_has(sigma_rel):
    with pytest.raises(InvalidInputError, match=r"sigma_rel is .*; expected a share of the training in \(0, 0.2887\)"):
        power_exponent(sigma_rel)


def test_learning_rate_rises_stays_and_falls():
    settings = EDM2Settings(learning_rate=0.02, rampup_steps=10, reference_steps=100)
    rates = [settings.rate(step) for step in (1, 5, 10, 100, 400)]
    np.testing.assert_allclose(rates, [0.002, 0.01, 0.02, 0.02, 0.01])


def test_training_reduces_the_loss_and_learns_the_classes(tmp_path):
    images, labels = stripes(64)
    settings = replace(SETTINGS, epochs=30, batch_size=16, reference_steps=100)
    net = load(train(images, labels, settings, tmp_path, device="cpu"))
    losses = net.card["loss_per_epoch"]
    assert losses[-1] < 0.6 * losses[0]
    x0 = torch.from_numpy(images)
    noise = torch.from_numpy(np.random.default_rng(9).standard_normal(images.shape, dtype=np.float32))
    right, wrong = torch.from_numpy(labels), torch.from_numpy(1 - labels)
    with torch.no_grad():
        errors = [float((net(x0 + 2.0 * noise, 2.0, given) - x0).square().mean()) for given in (right, None, wrong)]
    assert errors[0] < 0.9 * errors[1] < errors[1] < 0.95 * errors[2]


def test_dropped_labels_train_nothing(tmp_path):
    """With all labels dropped, the embedding of the labels gets no gradient and keeps its initial direction."""
    embeddings = {}
    for dropout in (0.0, 1.0):
        path = run(tmp_path / str(dropout), replace(SETTINGS, label_dropout=dropout))
        embeddings[dropout] = weights_in(path)["unet.emb_label.weight"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SETTINGS.seed)
        initial = module.EDM2Network(img_resolution=8, img_channels=1, label_dim=2, **SETTINGS.architecture)
    start = initial.unet.emb_label.weight.detach().numpy()
    cosines = {
        dropout: (found * start).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(start, axis=1)
        for dropout, found in embeddings.items()
    }
    np.testing.assert_allclose(cosines[1.0], 1.0, atol=1e-5)
    assert cosines[0.0].min() < 0.9999


def test_a_seed_repeats_and_another_does_not(tmp_path, uninterrupted):
    assert_identical(weights_in(run(tmp_path / "same")), uninterrupted)
    other = weights_in(run(tmp_path / "other", replace(SETTINGS, seed=6)))
    assert not np.array_equal(other["unet.out_conv.weight"], uninterrupted["unet.out_conv.weight"])


def test_leaves_the_global_random_states_alone(tmp_path):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    run(tmp_path, replace(SETTINGS, epochs=1))
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
            run(tmp_path, checkpoint_minutes=0.0)
    resumed = run(tmp_path)
    assert_identical(weights_in(resumed), uninterrupted)
    assert read_card(resumed)["images_seen"] == 40


def test_more_epochs_continue_a_finished_training(tmp_path, uninterrupted):
    first = run(tmp_path, replace(SETTINGS, epochs=1))
    assert read_card(first)["epochs"] == 1
    assert_identical(weights_in(run(tmp_path)), uninterrupted)
    with pytest.raises(InvalidInputError, match=r"epochs is 1, but .* already holds 2"):
        run(tmp_path, replace(SETTINGS, epochs=1))


def test_refuses_the_checkpoint_of_another_training(tmp_path):
    run(tmp_path, replace(SETTINGS, epochs=1))
    with pytest.raises(InvalidInputError, match=r"p_std 2\.2 instead of 1\.0; expected the same settings"):
        run(tmp_path, replace(SETTINGS, p_std=1.0))
    images, labels = stripes()
    with pytest.raises(InvalidInputError, match="labels_sha256"):
        train(images, 1 - labels, SETTINGS, tmp_path, device="cpu")
    path = tmp_path / "edm2.checkpoint"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ResultFileError, match=r"edm2.checkpoint is not a readable checkpoint"):
        run(tmp_path)


def test_nan_loss_stops_and_keeps_the_last_checkpoint_and_weights(tmp_path, monkeypatch):
    run(tmp_path, replace(SETTINGS, epochs=1))
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    loss = module.denoising_loss
    monkeypatch.setattr(module, "denoising_loss", lambda *arguments: loss(*arguments) * float("nan"))
    with pytest.raises(TrainingDivergedError, match=r"in step 4: the loss is nan.*keeps the state after step 3"):
        run(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_bfloat16_learns_like_float32(tmp_path):
    losses = {}
    for precision in ("float32", "bfloat16"):
        path = run(tmp_path / precision, replace(SETTINGS, precision=precision))
        losses[precision] = read_card(path)["loss_per_epoch"]
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.05)
    assert losses["bfloat16"] != losses["float32"]


def test_card_says_what_was_done(tmp_path):
    card = read_card(run(tmp_path, data_sha256="abc"))
    expected = {"epochs": 2, "seed": 5, "steps": 6, "images": 20, "images_seen": 40, "data_sha256": "abc"}
    assert {name: card[name] for name in expected} == expected
    assert card["architecture"]["label_dim"] == 2
    assert card["command"] is None  # the command line trains on Fashion-MNIST, not on these images
    assert card["versions"]["torch"] == torch.__version__


def test_refuses_unsuitable_images_labels_and_settings(tmp_path):
    images, labels = stripes(4)
    for arguments, error, message in (
        ((images[:, :, :7], labels), InvalidInputError, r"images has shape \(4, 1, 7, 8\)"),
        ((images.astype(np.uint8), labels), DtypeError, "images has dtype uint8"),
        ((images, labels[:3]), InvalidInputError, r"labels has shape \(3,\); expected one class an image, \(4,\)"),
        ((images, labels / 2), DtypeError, "labels has dtype float64; expected integers"),
        ((images, labels - 2), InvalidInputError, "labels range from -2 to -1; expected 0"),
    ):
        with pytest.raises(error, match=message):
            train(*arguments, SETTINGS, tmp_path, device="cpu")
    with pytest.raises(InvalidInputError, match=r"labels range from 0 to 1; expected 0 \.\.\. 0"):
        train(images, np.array([0, 1, 0, 0]), SETTINGS, tmp_path, label_dim=1, device="cpu")
    for setting, message in (
        ({"epochs": 0}, "epochs is 0"),
        ({"label_dropout": 1.5}, "label_dropout is 1.5"),
        ({"p_std": 0.0}, "p_std is 0.0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"precision": "float16"}, "precision is 'float16'"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            EDM2Settings(**setting)
