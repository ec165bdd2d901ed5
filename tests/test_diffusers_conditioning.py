"""What a model of diffusers is given beside the image: embeddings, further arguments, clocks of other models."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")

import torch  # noqa: E402
from diffusers_cases import conditioning, network  # noqa: E402

from fastpatch.errors import InvalidInputError  # noqa: E402
from fastpatch.neural import denoisers  # noqa: E402
from fastpatch.neural.modes import measured_modes  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SIGMA = 1.5


class Told(torch.nn.Module):
    """A model that remembers what it was given beside the image."""

    config = {"in_channels": 4, "sample_size": 8}  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x, timestep, encoder_hidden_states=None, pooled=None, more=None, return_dict=True):
        self.given = {"time": timestep, "pooled": pooled, "more": more, "states": encoder_hidden_states}
        return (x * self.weight + 0.0 * encoder_hidden_states.sum(),)


def test_arguments_follow_the_images_and_the_prompts():
    conditions = np.arange(3 * 5 * 2, dtype=np.float32).reshape(3, 5, 2)
    pooled = torch.arange(4.0)[:, None]
    told = Told().double()
    net = denoisers.from_diffusers(
        told, diffusers.DDPMScheduler(), conditions=conditions, null_condition=conditions[:1],
        arguments={"pooled": pooled, "more": {"one": torch.ones(1, 6), "whole": [torch.tensor([7])], "word": "x"}},
    )  # fmt: skip
    x, labels = torch.randn(2, 4, 8, 8, dtype=torch.float64), torch.tensor([2, 0])
    net(x, SIGMA, labels)
    assert told.given["pooled"].dtype == torch.float64
    assert told.given["pooled"][:, 0].tolist() == [2.0, 0.0]
    more = told.given["more"]
    assert more["one"].shape == (2, 6)
    assert more["one"].dtype == torch.float64
    assert more["whole"][0].tolist() == [7, 7]
    assert more["whole"][0].dtype == torch.int64
    assert more["word"] == "x"
    assert torch.equal(told.given["states"], torch.as_tensor(conditions[[2, 0]]).double())
    net(x, SIGMA)
    assert told.given["pooled"][:, 0].tolist() == [3.0, 3.0]
    assert torch.equal(told.given["states"], torch.as_tensor(conditions[[0, 0]]).double())


def test_derivatives_of_short_weights_with_arguments_are_taken_in_float32():
    states = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(0))
    exact, short = (
        denoisers.from_diffusers(
            network("conditional").to(dtype), diffusers.DDPMScheduler(),
            arguments={"encoder_hidden_states": states.to(dtype)},
        )
        for dtype in (torch.float32, torch.bfloat16)
    )  # fmt: skip
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    found = [measured_modes(net, x, 1.0, shells=[0, 1], method="vjp").values for net in (exact, short)]
    np.testing.assert_allclose(found[1], found[0], atol=0.02)


def test_models_that_project_their_prompts_take_what_they_project():
    model = diffusers.PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=1,
        cross_attention_dim=16, caption_channels=32, sample_size=8, patch_size=2, norm_num_groups=4,
    )  # fmt: skip
    given = {"arguments": {"added_cond_kwargs": {"resolution": None, "aspect_ratio": None}}}
    states = torch.randn(3, 5, 32)
    net = denoisers.from_diffusers(
        model, diffusers.DDPMScheduler(), conditions=states, null_condition=states[0], **given
    )
    assert net(torch.randn(2, 4, 8, 8), SIGMA, torch.tensor([0, 2])).isfinite().all()
    with pytest.raises(InvalidInputError, match="conditions have 16 channels; expected the 32"):
        denoisers.from_diffusers(model, diffusers.DDPMScheduler(), conditions=states[..., :16], **given)


def test_a_compiled_model_is_asked_as_what_it_was():
    model, given = network("conditional"), conditioning("conditional")
    compiled = torch.compile(model, backend="eager")
    net = denoisers.from_diffusers(compiled, diffusers.DDPMScheduler(), **given)
    plain = denoisers.from_diffusers(model, diffusers.DDPMScheduler(), **given)
    x, labels = torch.randn(2, 4, 8, 8), torch.tensor([2, 0])
    with torch.no_grad():
        torch.testing.assert_close(net(x, SIGMA, labels), plain(x, SIGMA, labels))
    assert net.architecture == plain.architecture


def test_an_empty_prompt_of_another_shape_is_refused():
    given = conditioning("conditional")
    with pytest.raises(InvalidInputError, match=r"null_condition has shape \(5, 8\); expected \(5, 16\)"):
        denoisers.from_diffusers(
            network("conditional"), diffusers.DDPMScheduler(), conditions=given["conditions"],
            null_condition=given["null_condition"][:, :8],
        )  # fmt: skip


class AuraFlowTransformer2DModel(Told):
    """Of this class diffusers' own pipeline says t / 1000."""


class Lumina2Transformer2DModel(Told):
    """Of this one 1 - t / 1000, and turns the output's sign."""


def test_flow_models_are_told_their_own_time():
    scheduler, states = diffusers.FlowMatchEulerDiscreteScheduler(), torch.randn(2, 5, 2)
    model = AuraFlowTransformer2DModel()
    net = denoisers.from_diffusers(model, scheduler, conditions=states)
    net(torch.randn(1, 4, 8, 8), 1.0, torch.tensor([0]))
    assert float(model.given["time"][0]) == pytest.approx(0.5)
    with pytest.raises(InvalidInputError, match="Lumina2Transformer2DModel runs the other way"):
        denoisers.from_diffusers(Lumina2Transformer2DModel(), scheduler, conditions=states)


@pytest.mark.parametrize(
    "scheduler",
    [
        diffusers.EulerDiscreteScheduler(timestep_type="continuous", prediction_type="v_prediction"),
        diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True),
    ],
)
def test_clocks_that_are_not_known_are_refused(scheduler):
    with pytest.raises(InvalidInputError, match="a clock that is not known here; expected"):
        denoisers.from_diffusers(network("group norm"), scheduler)


def test_steps_that_depend_on_the_size_of_the_image_are_said_to():
    from fastpatch.analysis import decided_information
    from fastpatch.cli.network_commands.window import window_lines
    from fastpatch.neural.window import GuidanceWindow
    from fastpatch.neural.window.units import clock_attributes

    net = denoisers.from_diffusers(
        network("group norm"), diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    )
    rates, levels = np.random.default_rng(0).random((16, 8)), np.geomspace(10.0, 0.1, 8)
    window = GuidanceWindow(
        2.0, 0.5, (1.5, 2.5), (0.4, 0.6), "", decided_information(rates, levels), 1, net.schedule,
        clock_attributes(net)["scheduler"], levels=levels,
    )  # fmt: skip
    with pytest.raises(InvalidInputError, match="depend on the size of the image"):
        window.steps(20)
    assert window.to_dict()["steps"] == {}
    lines = "\n".join(window_lines(window, (20,)))
    assert "depend on the size of the image" in lines
    assert "ComfyUI percent" in lines
