"""Pipelines from text to images: their own embeddings of prompts, the empty prompt, and what a directory may lack."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("diffusers", reason="diffusers is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import torch
from diffusers_text_cases import pipeline
from typer.testing import CliRunner

from fastpatch.cli import app
from fastpatch.errors import InvalidInputError, ResultFileError
from fastpatch.neural import denoisers

pytestmark = pytest.mark.usefixtures("one_torch_thread")

PROMPTS = ["a coat", "a shoe"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pipeline")
    found = pipeline(directory / "vocabulary")
    found.save_pretrained(directory / "saved")
    return found, directory / "saved"


def test_prompts_are_encoded_as_the_pipeline_does(saved):
    """D of the label k and without a label, against the pipeline's own embeddings of prompt k and of the empty one."""
    own, directory = saved
    own.unet.float()
    net = denoisers.from_diffusers(directory, prompts=PROMPTS)
    assert (net.label_dim, net.image_shape) == (2, (4, 8, 8))
    embedded, empty = own.encode_prompt(PROMPTS, "cpu", 1, True, negative_prompt=["", ""])
    own.scheduler.set_timesteps(10)
    y = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    time = 300
    kept = float(own.scheduler.alphas_cumprod[time])
    sigma = ((1.0 - kept) / kept) ** 0.5
    x = kept**0.5 * y
    with torch.no_grad():
        for labels, rows in ((torch.tensor([1, 0]), embedded[[1, 0]]), (None, empty)):
            output = own.unet(x, time, encoder_hidden_states=rows).sample
            expected = own.scheduler.step(output, time, x).pred_original_sample
            torch.testing.assert_close(net(y, sigma, labels), expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(embedded[0], embedded[1])
    from_object = denoisers.from_diffusers(own, prompts=PROMPTS)
    torch.testing.assert_close(from_object(y, sigma, torch.tensor([1, 0])), net(y, sigma, torch.tensor([1, 0])))


def test_the_command_takes_prompts(saved, tmp_path):
    texts = tmp_path / "prompts.txt"
    texts.write_text("a coat\n\na shoe\n")
    found = CliRunner().invoke(
        app,
        ["network", "window", str(saved[1]), "--prompts", str(texts), "--runs", "4", "--levels", "3", "--out",
         str(tmp_path / "out"), "--quiet"],
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert json.loads((tmp_path / "out" / "window.json").read_text())["label_entropy"] == pytest.approx(np.log(2.0))


def test_a_pipeline_may_lack_its_text_encoder(saved, tmp_path):
    shutil.copytree(saved[1], tmp_path / "bare", ignore=shutil.ignore_patterns("text_encoder"))
    with pytest.raises(InvalidInputError, match="the pipeline's text encoder is absent; expected a pipeline saved"):
        denoisers.from_diffusers(tmp_path / "bare", prompts=PROMPTS)
    with pytest.raises(InvalidInputError, match="needs embeddings of its prompts; expected prompts"):
        denoisers.from_diffusers(tmp_path / "bare")


def test_classes_of_an_index_are_those_of_encoders(saved, tmp_path):
    shutil.copytree(saved[1], tmp_path / "odd")
    index = json.loads((tmp_path / "odd" / "model_index.json").read_text())
    index["text_encoder"] = ["transformers", "Trainer"]
    (tmp_path / "odd" / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ResultFileError, match="names the class 'Trainer'; expected a PreTrainedModel"):
        denoisers.from_diffusers(tmp_path / "odd", prompts=PROMPTS)
