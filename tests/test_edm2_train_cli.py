"""``fastpatch edm2 train`` and ``train-classifier`` from the command line."""

import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from fastpatch.cli.edm2 import app
from fastpatch.errors import FastpatchError

runner = CliRunner()

SMALL = "--epochs 1 --batch-size 8 --model-channels 8 --channel-mult 1,2 --attn-resolutions 16 --channels-per-head 8"


def test_help_and_import_need_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None; from fastpatch.cli.edm2 import app; "
        "assert 'safetensors' not in sys.modules; app(['train', '--help'])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "--label-dropout" in shown


@pytest.mark.parametrize("command", ["train", "train-classifier"])
def test_without_torch_says_what_to_install(monkeypatch, command):
    for name in [name for name in sys.modules if name.startswith("fastpatch.neural")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    result = runner.invoke(app, [command])
    assert isinstance(result.exception, FastpatchError)
    assert "training needs torch" in str(result.exception)
    assert 'pip install "fastpatch[neural]"' in str(result.exception)


@pytest.fixture
def tiny(monkeypatch, one_torch_thread):
    """Twenty images of noise in the place of each part of Fashion-MNIST."""
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    from fastpatch.neural import data

    rng = np.random.default_rng(0)
    images = rng.uniform(-1.0, 1.0, (20, 1, 28, 28)).astype(np.float32)
    labels = (np.arange(20) % 10).astype(np.uint8)
    monkeypatch.setattr(data, "load_images", lambda split, variant, directory: images)
    monkeypatch.setattr(data, "load_labels", lambda split, directory: labels)


@pytest.mark.parametrize(
    ("arguments", "stem"),
    [
        (f"train {SMALL} --learning-rate 0.02 --label-dropout 0.3 --p-mean -1.5 --seed 3", "edm2"),
        ("train-classifier --epochs 2 --batch-size 8 --held-out 4 --learning-rate 0.01 --seed 3", "classifier"),
    ],
)
def test_trains_and_the_recorded_command_repeats_the_training(tiny, tmp_path, monkeypatch, arguments, stem):
    from fastpatch.neural.tensor_file import read_tensors

    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, [*arguments.split(), "--device", "cpu"], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"weights: runs/{stem}/{stem}.safetensors")
    card, first = read_tensors(f"runs/{stem}/{stem}.safetensors")
    assert card["seed"] == 3

    words = card["command"].split()
    assert words[:2] == ["fastpatch", "edm2"]
    result = runner.invoke(app, [*words[2:], "--out", "again", "--device", "cpu"], catch_exceptions=False)
    assert result.exit_code == 0
    again, second = read_tensors(f"again/{stem}.safetensors")
    assert {**again, "date": ""} == {**card, "date": ""}
    for name, tensor in first.items():
        np.testing.assert_array_equal(tensor.numpy(), second[name].numpy(), err_msg=name)


def test_user_mistakes_are_fastpatch_errors(tiny, tmp_path):
    for arguments, message in (
        ("train --channel-mult 1,x", "channel_mult is '1,x'; expected whole numbers separated by commas"),
        ("train --channel-mult 1,2,2,2,2,2,2", "expected at least one level, and a side that can be halved"),
        ("train --model-channels 24", "channels_per_head is 64, but the attention at resolution 8 has 48 channels"),
        ("train --sigma-rel 0.5", "sigma_rel is 0.5"),
        ("train --device quantum", "device is 'quantum'"),
        ("train-classifier --epochs 0", "epochs is 0"),
        ("train-classifier", "held_out is 5000 of 20 images"),
    ):
        result = runner.invoke(app, [*arguments.split(), "--out", str(tmp_path)])
        assert isinstance(result.exception, FastpatchError)
        assert message in str(result.exception)
