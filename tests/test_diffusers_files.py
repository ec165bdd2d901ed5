"""Directories and names of diffusers: pipelines of classes, weights that are no safetensors, a hub out of reach."""

import json

import pytest

pytest.importorskip("torch", reason="torch is not installed")
diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")

import huggingface_hub  # noqa: E402
import torch  # noqa: E402
from diffusers_cases import network  # noqa: E402

from fastpatch.errors import InvalidInputError, ResultFileError  # noqa: E402
from fastpatch.neural import denoisers  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def test_a_dit_pipeline_has_its_classes(tmp_path):
    network("DiT").save_pretrained(tmp_path / "transformer")
    diffusers.DDIMScheduler().save_pretrained(tmp_path / "scheduler")
    index = {"_class_name": "DiTPipeline", "transformer": ["diffusers", "DiTTransformer2DModel"], "vae": [None, None]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    net = denoisers.from_diffusers(tmp_path)
    assert (net.label_dim, net.image_shape, net.has_unconditional) == (10, (4, 8, 8), True)
    x = torch.ones(2, 4, 8, 8)
    assert not torch.allclose(net(x, 1.0, torch.tensor([0, 3])), net(x, 1.0))


def test_weights_that_are_no_safetensors_are_refused(tmp_path):
    network("group norm").save_pretrained(tmp_path, safe_serialization=False)
    diffusers.DDPMScheduler().save_pretrained(tmp_path)
    assert list(tmp_path.glob("*.bin"))
    with pytest.raises(
        ResultFileError, match=r"cannot be read as a UNet2DModel .*expected what save_pretrained writes"
    ):
        denoisers.from_diffusers(tmp_path)


@pytest.mark.parametrize("name", ["DiffusionPipeline", "DDPMScheduler", "nonsense", "__name__"])
def test_only_models_are_models(tmp_path, name):
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": name}))
    with pytest.raises(ResultFileError, match="expected a ModelMixin of the installed diffusers"):
        denoisers.from_diffusers(tmp_path)


@pytest.mark.parametrize("text", [False, True])
def test_a_hub_out_of_reach_is_one_sentence(tmp_path, monkeypatch, text):
    """Not in the cache, and told to stay offline: by the same constant as HF_HUB_OFFLINE=1 sets."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ResultFileError, match="not in the cache, and the hub is out of reach") as caught:
        denoisers.from_diffusers("somebody/some-model", prompts=["a coat"] if text else None)
    assert "\n" not in str(caught.value)


def test_models_that_need_more_say_so():
    more = diffusers.UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 32), layers_per_block=1, cross_attention_dim=16, norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), attention_head_dim=8,
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), addition_embed_type="text_time",
        addition_time_embed_dim=8, projection_class_embeddings_input_dim=64,
    )  # fmt: skip
    with pytest.raises(InvalidInputError, match=r"addition_embed_type 'text_time'.*expected added_cond_kwargs"):
        denoisers.from_diffusers(more, diffusers.DDPMScheduler(), conditions=torch.zeros(1, 5, 16))
    given = {"text_embeds": torch.zeros(1, 16), "time_ids": torch.zeros(1, 6)}
    net = denoisers.from_diffusers(
        more, diffusers.DDPMScheduler(), conditions=torch.zeros(1, 5, 16), arguments={"added_cond_kwargs": given}
    )
    assert net(torch.ones(2, 4, 8, 8), 1.0, torch.tensor([0, 0])).shape == (2, 4, 8, 8)

    class Other(torch.nn.Module):
        def forward(self, hidden_states, timestep, pooled):
            return hidden_states

    net = denoisers.from_diffusers(Other(), diffusers.DDPMScheduler(), image_shape=(1, 4, 4))
    with pytest.raises(InvalidInputError, match=r"Other cannot be called with images, a time .*'pooled'.*arguments"):
        net(torch.ones(1, 1, 4, 4), 1.0)
