"""``fastpatch unet analyze`` and ``fastpatch unet sample``, from a file of weights to tables, figures and data."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

import fastpatch as fp
from fastpatch.cli import experiment
from fastpatch.cli.unet import app
from fastpatch.cli.unet.analysis_report import analysis_report, beside_data
from fastpatch.cli.unet.common import title
from fastpatch.errors import FastpatchError

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from fastpatch.neural import data  # noqa: E402
from fastpatch.neural import shipped as where  # noqa: E402
from fastpatch.neural.unet import UNet, UNetModel, save_weights, shipped_weights  # noqa: E402

runner = CliRunner()


pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """An installation with weights: a network of the right shapes that has learned nothing."""
    folder = tmp_path_factory.mktemp("neural")
    (folder / "pretrained").mkdir()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = UNet(prediction="v")
    save_weights(folder / "pretrained" / "unet-binarised-v.safetensors", net, {"variant": "binarised", "epochs": 2})
    return folder


@pytest.fixture(autouse=True)
def _installed(shipped, monkeypatch):
    monkeypatch.setattr(where, "__file__", str(shipped / "shipped.py"))


@pytest.fixture
def garments(monkeypatch):
    """Squares of random size in the place of Fashion-MNIST: 40 to train on, 10 to test."""
    asked = []

    def load(split, variant, directory, *, download):
        asked.append((split, variant, directory, download))
        rng = np.random.default_rng(len(split))
        images = np.full((40 if split == "train" else 10, 1, 28, 28), -1.0, dtype=np.float32)
        for image in images[:, 0]:
            low, high = rng.integers(2, 10), rng.integers(14, 26)
            image[low:high, low:high] = 1.0
        return images

    monkeypatch.setattr(data, "load_images", load)
    return asked


@pytest.fixture
def undrawn(monkeypatch):
    """For tests of other things than figures, which take longest."""
    monkeypatch.setattr(experiment, "draw_figures", lambda dataset, directory, suffix="png", null=True: [])


@pytest.fixture
def no_data(monkeypatch):
    monkeypatch.setenv(data.DATA_VARIABLE, "/nowhere")


def invoke(*words):
    result = runner.invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


SMALL = (
    "--t-max",
    2,
    "--t-min",
    0.05,
    "--trajectories",
    2,
    "--steps",
    4,
    "--record-every",
    2,
    "--shells",
    3,
    "--quiet",
)


def test_analyze_writes_table_figures_and_data(garments, tmp_path, capsys):
    result = invoke("analyze", *SMALL, "--probes", 2, "--sites", 2, "--out", tmp_path)
    for name in ("figure3.png", "denoising.png", "locality.png"):
        assert (tmp_path / name).stat().st_size > 10_000
    dataset = fp.load(tmp_path / "result.nc")
    assert dataset["mode_derivative"].shape == (2, 3, 4, 2)
    # The local response is measured at recorded times, so that no derivative is taken for it alone.
    assert set(dataset["snapshot_time"].to_numpy()) <= set(dataset["time"].to_numpy())
    images = data.load_images("train", "binarised", None, download=False)
    assert dataset.attrs["data_omega"] == pytest.approx(784 * images.mean(axis=(1, 2, 3)).var(), rel=1e-5)
    assert json.loads(dataset.attrs["provenance"])["run"]["model"]["epochs"] == 2
    assert garments[0] == ("train", "binarised", None, False)
    for line in (
        "log(1 + Omega), data covariance",
        "lambda_0 = 0, Gaussian null",
        "lambda_0 crosses zero",
        "local response",
        "final root mean square",
    ):
        assert line in result.output
    assert "U-Net, predicting v, binarised Fashion-MNIST, 2 epochs of training" in dataset.attrs["title"]

    model = UNetModel.load(shipped_weights())
    assert analysis_report(dataset, model) in result.output
    # The Gaussian of the same images: lambda_v = -1/2 + v^T (sigma^2 + alpha^2 C)^-1 v, v the uniform mode.
    covariance, t = np.cov(images[:, 0].reshape(40, 784).T.astype(np.float64)), dataset["time"].to_numpy()
    along = [np.linalg.inv((1.0 - a) * np.eye(784) + a * covariance).sum() / 784 for a in np.exp(-t)]
    exact = -0.5 + np.array(along)
    np.testing.assert_allclose(dataset["null_mode_derivative"].sel(shell=0, direction="y"), exact, rtol=1e-4)
    plain = dataset.drop_vars([name for name in dataset if name.startswith("null_")])
    assert "Gaussian null" not in analysis_report(beside_data(plain, images[:, 0], model, null=False), model)
    for size, warned in ((1.9, False), (2.1, True)):
        capsys.readouterr()
        analysis_report(dataset.assign(final=0.0 * dataset["final"] + size), model)
        assert ("the network's drift is unstable at large t" in capsys.readouterr().err) == warned


def test_analyze_by_the_papers_differences_and_along_the_ode(no_data, undrawn, tmp_path):
    options = ("--derivatives", "finite-difference", "--solver", "heun", "--probes", 2, "--sites", 2)
    result = invoke("analyze", *SMALL, *options, "--trajectories", 1, "--out", tmp_path)
    provenance = json.loads(fp.load(tmp_path / "result.nc").attrs["provenance"])
    assert (provenance["run"]["model"]["derivatives"], provenance["run"]["solver"]) == ("finite-difference", "heun")
    assert "nothing is compared with the data, because" in result.output
    assert "data covariance" not in result.output


def test_sample_compares_with_the_data(garments, tmp_path):
    result = invoke("sample", "--count", 3, "--steps", 3, "--t-max", 1, "--out", tmp_path, "--quiet")
    for name in ("samples.png", "denoising.png", "statistics.png"):
        assert (tmp_path / name).stat().st_size > 5_000
    dataset = fp.load(tmp_path / "result.nc")
    assert dataset["final"].shape == (3, 28, 28)
    assert "xi_x" not in dataset
    assert dataset.attrs["train_share"] == 0.8
    assert [call[0] for call in garments] == ["train", "test"]
    assert "of 3; expected 2.4 without memorising" in result.output


def test_sample_without_data_still_samples(no_data, tmp_path):
    result = invoke("sample", "--count", 2, "--steps", 2, "--t-max", 1, "--out", tmp_path, "--quiet")
    assert "nothing is compared with the data" in result.output
    assert not (tmp_path / "statistics.png").exists()
    assert (tmp_path / "samples.png").exists()


def test_a_directory_that_the_user_names_must_hold_the_data(tmp_path):
    with pytest.raises(FastpatchError, match="holds neither train-images-idx3-ubyte"):
        invoke("analyze", *SMALL, "--data", tmp_path, "--out", tmp_path)


def test_without_weights_says_how_to_train():
    assert shipped_weights("binarised").name == "unet-binarised-v.safetensors"
    for prediction in ("v", "epsilon"):
        command = f"train --grey --prediction {prediction}`"
        with pytest.raises(
            FastpatchError, match=f"no weights of the grey model that predicts {prediction}; .*{command}"
        ):
            invoke("sample", "--grey", "--prediction", prediction)


def test_times_without_a_transition(no_data, tmp_path):
    with pytest.raises(
        FastpatchError,
        match=r"from t = 50 to 20 with 0 recorded time\(s\) between 10 and 0.01 .*; expected two at least",
    ):
        invoke("analyze", "--t-min", 20, "--out", tmp_path)


@pytest.mark.parametrize("command", ["analyze", "sample"])
def test_without_torch_says_what_to_install(command, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("fastpatch.neural")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(FastpatchError, match=r"needs torch, which is not installed; expected `pip install .fastpatch"):
        invoke(command)


def test_title_counts_the_epochs_of_the_network_that_another_began_as():
    def of(card):
        return title(SimpleNamespace(card={"variant": "grey", **card}, net=SimpleNamespace(prediction="v")))

    noise = {"epochs": 9, "architecture": {}, "continues": {"epochs": 4}}
    assert of({"epochs": 1}).endswith("grey Fashion-MNIST, 1 epoch of training")
    assert of({"epochs": 2, "continues": noise}).endswith("9 + 2 epochs of training")
    # Gone on with twice, from files of weights.
    assert of({"epochs": 5, "continues": {"epochs": 2, "continues": noise}}).endswith("9 + 5 epochs of training")
