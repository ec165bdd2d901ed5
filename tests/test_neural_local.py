"""The network of one P x P neighbourhood: what it sees, how it is trained, and how it stands to the patch machine."""

import numpy as np
import pytest
from image_cases import blobs

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

import fastpatch as fp  # noqa: E402
from fastpatch.analysis import fourier_modes  # noqa: E402
from fastpatch.errors import DtypeError, InvalidInputError, ResultFileError  # noqa: E402
from fastpatch.neural.local import (  # noqa: E402
    LocalModel,
    LocalNetwork,
    LocalTrainingSettings,
    load_weights,
    shipped_weights,
    train,
)
from fastpatch.neural.local import training as module  # noqa: E402
from fastpatch.neural.score_training import save_network  # noqa: E402
from fastpatch.neural.tensor_file import read_card  # noqa: E402
from fastpatch.studies.locality import compare_with_machine, draw_locality_test, locality_report  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def network(size=5, prediction="image", dtype=torch.float64):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return LocalNetwork(size, 12, 2, prediction).to(dtype)


def field(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("prediction", ["image", "noise"])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_site_sees_its_patch_and_nothing_else(size, prediction):
    net, (height, width) = network(size, prediction), (9, 11)
    x = torch.from_numpy(field(1, 1, height, width))
    for i, j in ((0, 0), (4, 5), (8, 10)):
        changed = x.repeat(height * width, 1, 1, 1)
        changed.view(height * width, -1)[range(height * width), range(height * width)] += 0.7
        with torch.no_grad():
            before, after = net.posterior_mean(x, 0.4)[0, 0, i, j], net.posterior_mean(changed, 0.4)[:, 0, i, j]
        found = (abs(after - before) > 1e-12).reshape(height, width).numpy()
        rows = [abs((np.arange(height) - i + height // 2) % height - height // 2) <= size // 2]
        columns = [abs((np.arange(width) - j + width // 2) % width - width // 2) <= size // 2]
        np.testing.assert_array_equal(found, np.outer(rows, columns))


@pytest.mark.parametrize("prediction", ["image", "noise"])
def test_it_commutes_with_every_shift_and_keeps_the_fields_of_a_batch_apart(prediction):
    net, x = network(prediction=prediction), torch.from_numpy(field(3, 1, 8, 9))
    times = torch.tensor([0.02, 0.6, 7.0], dtype=torch.float64)
    with torch.no_grad():
        found = net.score(x, times)
        moved = net.score(torch.roll(x, (3, 5), (2, 3)), times)
        torch.testing.assert_close(moved, torch.roll(found, (3, 5), (2, 3)), rtol=1e-12, atol=1e-12)
        for n, t in enumerate(times):
            torch.testing.assert_close(net.score(x[n : n + 1], float(t))[0], found[n], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("prediction", ["image", "noise"])
def test_score_and_posterior_mean_say_the_same(prediction):
    model = LocalModel(network(prediction=prediction))
    x, t = field(2, 7, 8), 0.7
    alpha, sigma2 = np.exp(-t / 2), -np.expm1(-t)
    np.testing.assert_allclose(model.score(x, t), (alpha * model.posterior_mean(x, t) - x) / sigma2, rtol=1e-9)
    assert model.posterior_mean(x.astype(np.float32), t).dtype == np.float32


def test_derivatives_are_those_of_the_drift():
    model, x, t = LocalModel(network()), field(8, 9), 0.8
    found = model.mode_derivatives(x, t, shells=(0, 1, 3))
    modes = fourier_modes(x.shape, (0, 1, 3)).reshape(-1, *x.shape)
    for v, exact in zip(modes, found.ravel(), strict=True):
        difference = np.vdot(v, model.drift(x + 1e-5 * v, t) - model.drift(x - 1e-5 * v, t)) / 2e-5
        assert exact == pytest.approx(difference, rel=1e-7, abs=1e-8)


SETTINGS = LocalTrainingSettings(patch_size=3, width=24, depth=2, epochs=60, batch_size=32, crop=6, sigma_rel=(0.1,))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Images, and the weights of a network of 3 x 3 pixels trained on them."""
    images = blobs(96, side=10, smoothing=1.0).astype(np.float32)
    return images, train(images, SETTINGS, tmp_path_factory.mktemp("local"), device="cpu")


def test_the_excess_of_its_error_is_the_distance_from_the_machine(trained):
    images, weights = trained
    machine = fp.PatchModel(fp.PatchDictionary.from_images(images, 3))
    found = compare_with_machine(LocalModel.load(weights), machine, {"training": images}, [3.0, 1.0, 0.3, 0.1])
    at = found.sel(split="training", denoiser="network")
    excess = (at["mse"] - found["mse"].sel(split="training", denoiser="machine")).to_numpy()
    error = excess.std(axis=1, ddof=1) / np.sqrt(excess.shape[1])
    distance = at["distance"].mean("image").to_numpy()
    assert (excess.mean(axis=1) > -4 * error).all()
    assert (abs(excess.mean(axis=1) - distance) < 5 * error + 1e-7).all()
    # An untrained network is far away.
    assert (distance < 0.02).all()
    assert (at["r2"].median("image")[1:] > 0.95).all()
    assert "training images (96)" in locality_report(found)
    assert len(draw_locality_test(found, "title").axes) == 2


def test_the_average_is_published_with_its_card(trained):
    _, weights = trained
    assert weights.name == "local-3-ema0.100.safetensors"
    net, card = load_weights(weights)
    assert (net.size, net.width, net.depth, net.prediction) == (3, 24, 2, "image")
    assert card["average"] == 0.1
    assert card["epochs"] == len(card["loss_per_epoch"]) == 60
    assert card["loss_per_epoch"][-1] < 0.8 * card["loss_per_epoch"][0]
    assert "weights_sha256" in LocalModel.load(weights).describe()


@pytest.mark.parametrize("prediction", ["image", "noise"])
def test_resumes_exactly(tmp_path, monkeypatch, prediction):
    images = blobs(20, side=8)
    settings = LocalTrainingSettings(patch_size=3, width=8, epochs=2, batch_size=8, prediction=prediction)
    whole = load_weights(train(images, settings, tmp_path / "whole", device="cpu"))[0].state_dict()
    step = module._Session._step

    def interrupted(self, chosen):
        if self.progress.steps == 4:
            raise KeyboardInterrupt
        return step(self, chosen)

    with monkeypatch.context() as patch:
        patch.setattr(module._Session, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(images, settings, tmp_path / "parts", device="cpu", checkpoint_minutes=0)
    parts = load_weights(train(images, settings, tmp_path / "parts", device="cpu"))[0].state_dict()
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name])


def test_windows_are_taken_from_everywhere_and_wrap_around(tmp_path):
    # Every pixel its own number: a window then tells where it was cut.
    images = np.arange(2 * 6 * 7, dtype=np.float32).reshape(2, 1, 6, 7)
    settings = LocalTrainingSettings(patch_size=3, crop=4)
    session = module._Session(
        images, lambda: LocalNetwork(3, 4, 1), settings, tmp_path, "local-3", torch.device("cpu"), "digest", None
    )
    corners = set()
    for step in range(60):
        session.progress.steps = step
        windows = session._clean(torch.tensor([1, 0])).numpy()
        assert windows.shape == (2, 1, 6, 6)
        for image, window in zip(images[[1, 0], 0], windows[:, 0], strict=True):
            i, j = np.argwhere(image == window[0, 0])[0]
            corners.add((i, j))
            np.testing.assert_array_equal(window, np.roll(image, (-i, -j), axis=(0, 1)).take(range(6), axis=1))
    assert len(corners) > 30


def test_what_does_not_fit(tmp_path):
    for arguments, message in (
        ({"size": 4}, "odd patch size"),
        ({"prediction": "score"}, "one of image, noise"),
        ({"width": 0}, "width"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            LocalNetwork(**arguments)
    net = network(dtype=torch.float32)
    with pytest.raises(InvalidInputError, match="sides >= 5"):
        net.score(torch.zeros(1, 1, 4, 9), 1.0)
    with pytest.raises(DtypeError, match="float64"):
        net.score(torch.zeros(1, 1, 8, 8, dtype=torch.float64), 1.0)
    with pytest.raises(InvalidInputError, match="patch size 5"):
        fp.simulate(LocalModel(net), (4, 8), 1, [1.0, 0.5])
    with pytest.raises(InvalidInputError, match="crop"):
        LocalTrainingSettings(crop=0)
    with pytest.raises(InvalidInputError, match="odd patch size"):
        train(blobs(3), LocalTrainingSettings(patch_size=4), tmp_path)
    with pytest.raises(InvalidInputError, match="at least the patch size"):
        train(blobs(3, side=4), LocalTrainingSettings(), tmp_path)
    path = tmp_path / "other.safetensors"
    save_network(path, net, {})
    assert load_weights(path)[0].size == 5
    net.width = 13
    save_network(path, net, {})
    with pytest.raises(ResultFileError, match="other tensors"):
        load_weights(path)
    net.depth = "deep"
    save_network(path, net, {})
    with pytest.raises(ResultFileError, match="holds the architecture"):
        load_weights(path)


def test_the_commands(tmp_path):
    from typer.testing import CliRunner

    from fastpatch.cli import app

    for name, seed in (("train", 0), ("test", 1)):
        np.save(tmp_path / f"{name}.npy", np.where(blobs(30, side=9, seed=seed) > 0, 200, 30).astype(np.uint8))
    data, runner = ["--images", str(tmp_path / "train.npy")], CliRunner()
    words = [
        "images",
        "train",
        *data,
        "--epochs",
        "1",
        "--width",
        "8",
        "--patch-size",
        "3",
        "--out",
        str(tmp_path / "w"),
    ]
    done = runner.invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    weights = tmp_path / "w" / "local-3-ema0.100.safetensors"
    assert str(weights) in done.output.replace("\n", "")
    assert read_card(weights)["command"] is None  # not the published images
    words = ["images", "locality", *data, "--held-out", str(tmp_path / "test.npy"), "--weights", str(weights)]
    words += ["--count", "3", "--levels", "2", "--out", str(tmp_path / "c"), "--quiet"]
    done = runner.invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "held-out images (3)" in done.output
    stored = fp.load(tmp_path / "c" / "locality.nc")
    assert dict(stored.sizes) == {"split": 2, "denoiser": 2, "time": 2, "image": 3}


def test_the_shipped_network_knows_uniform_patches_and_edges():
    net, card = load_weights(shipped_weights())
    assert (net.size, card["patch_size"], card["images"]) == (5, 5, 60000)
    assert card["command"].startswith("fastpatch images train --epochs 40 --patch-size 5")
    model = LocalModel(net, card)
    edge = np.where(np.arange(28) < 14, 1.0, -1.0) * np.ones((28, 1))
    for t, worst in ((0.05, 1e-3), (0.4, 0.05)):
        alpha, sigma = np.exp(-t / 2), np.sqrt(-np.expm1(-t))
        x = alpha * edge + sigma * field(28, 28, seed=3)
        assert np.mean((model.posterior_mean(x, t) - edge) ** 2) < worst
