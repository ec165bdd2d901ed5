"""``fastpatch unet train`` from the command line."""

import re
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from fastpatch.cli.unet import app
from fastpatch.errors import FastpatchError

runner = CliRunner()


def test_help_and_import_need_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None; from fastpatch.cli.unet import app; "
        "assert 'safetensors' not in sys.modules; app(['train', '--help'])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "--epochs" in shown


def test_without_torch_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("fastpatch.neural")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    result = runner.invoke(app, ["train"])
    assert isinstance(result.exception, FastpatchError)
    assert "training needs torch" in str(result.exception)
    assert 'pip install "fastpatch[neural]"' in str(result.exception)


@pytest.fixture
def tiny(monkeypatch):
    """Twelve small images in the place of Fashion-MNIST, and one thread: more would only wait on a busy machine."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    from fastpatch.neural import data

    images = np.sign(np.random.default_rng(0).standard_normal((12, 1, 8, 8))).astype(np.float32)
    asked = []

    def load(split, variant, directory):
        asked.append((split, variant, directory))
        return images

    monkeypatch.setattr(data, "load_images", load)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield asked
    torch.set_num_threads(threads)


def test_trains_and_its_recorded_command_repeats_the_training(tiny, tmp_path, monkeypatch):
    from fastpatch.neural.unet.weights import load_weights

    monkeypatch.chdir(tmp_path)
    arguments = "train --grey --epochs 2 --batch-size 5 --learning-rate 1e-3 --seed 3 --padding circular --device cpu"
    result = runner.invoke(app, arguments.split(), catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout == "weights: runs/unet/unet-grey.safetensors\n"
    assert tiny[0][:2] == ("train", "grey")
    first, card = load_weights("runs/unet/unet-grey.safetensors")
    assert (card["learning_rate"], card["batch_size"], card["padding"]) == (1e-3, 5, "circular")

    words = card["command"].split()
    assert words[:2] == ["fastpatch", "unet"]
    result = runner.invoke(app, [*words[2:], "--out", "again", "--device", "cpu"], catch_exceptions=False)
    assert result.exit_code == 0
    second, again = load_weights("again/unet-grey.safetensors")
    assert {**again, "date": ""} == {**card, "date": ""}
    for name, tensor in first.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), second.state_dict()[name].numpy(), err_msg=name)


def test_user_mistakes_are_fastpatch_errors(tiny, tmp_path):
    for arguments in (["--epochs", "0"], ["--device", "quantum"], ["--learning-rate", "nan"]):
        result = runner.invoke(app, ["train", "--out", str(tmp_path), *arguments])
        assert isinstance(result.exception, FastpatchError)


def test_a_directory_without_data(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    result = runner.invoke(app, ["train", "--data", str(tmp_path)])
    assert isinstance(result.exception, FastpatchError)
    assert "holds neither train-images-idx3-ubyte nor" in str(result.exception)


def test_weights_of_other_images_than_asked_for():
    pytest.importorskip("torch", reason="torch is not installed")
    from fastpatch.neural.unet.weights import shipped_weights

    for command in ("analyze", "sample"):
        for variant, option, needed in (("grey", [], "with"), ("binarised", ["--grey"], "without")):
            result = runner.invoke(app, [command, "--weights", str(shipped_weights(variant)), *option])
            assert f"was trained on {variant} images; expected it {needed} --grey" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--probes", "1"], "probes is 1; expected at least 2"),
        (["--sites", "785"], "sites is 785; expected at least 1 and at most 784"),
        (["--record-every", "0"], "record_every is 0; expected at least 1"),
        (["--t-min", "8"], r"1 recorded time\(s\) between 10 and 0.01"),
    ],
)
def test_an_analysis_that_cannot_end_is_not_begun(options, message):
    pytest.importorskip("torch", reason="torch is not installed")
    result = runner.invoke(app, ["analyze", "--quiet", *options])
    assert isinstance(result.exception, FastpatchError)
    assert re.search(message, str(result.exception))
