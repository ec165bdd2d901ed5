"""Adapters: every scheduler's own estimate of the image, conditioning, files, and what is refused."""

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")

import torch  # noqa: E402
from diffusers_cases import ARCHITECTURES, conditioning, network  # noqa: E402

from fastpatch.errors import FastpatchError, InvalidInputError, ResultFileError  # noqa: E402
from fastpatch.neural import denoisers  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    # Of diffusers' own schedulers under this NumPy.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


def _images(net, count=2, scale=3.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return (scale * torch.randn(count, *net.image_shape, generator=generator, dtype=torch.float64)).to(dtype)


def _labels(net, count=2):
    return torch.arange(count) % net.label_dim if net.label_dim else None


def _called(net, architecture, x, time, labels):
    """The network's own output at a timestep, called by hand."""
    if architecture == "conditional":
        extra = {"encoder_hidden_states": conditioning(architecture)["conditions"][labels].to(x)}
    else:
        extra = {} if labels is None else {"class_labels": labels}
    found = net(x, timestep=torch.as_tensor(time).expand(len(x)), return_dict=False, **extra)[0]
    return found[:, : x.shape[1]]


KINDS = ("DDPMScheduler", "DDIMScheduler", "EulerDiscreteScheduler")
PREDICTIONS = ("epsilon", "sample", "v_prediction")


@pytest.mark.parametrize(
    ("architecture", "prediction", "kind"),
    [("learned variance", prediction, kind) for prediction in PREDICTIONS for kind in KINDS]
    + [(architecture, "epsilon", "DDPMScheduler") for architecture in ARCHITECTURES],
)
def test_denoised_is_the_schedulers_own_estimate(architecture, prediction, kind):
    model = network(architecture).double()
    euler = kind == "EulerDiscreteScheduler"
    options = {"timestep_spacing": "leading"} if euler else {"clip_sample": False}
    scheduler = getattr(diffusers, kind)(prediction_type=prediction, **options)
    net = denoisers.from_diffusers(model, scheduler, **conditioning(architecture))
    scheduler.set_timesteps(10)
    y, labels = _images(net), _labels(net)
    for index in (1, 4, 8):
        time = scheduler.timesteps[index]
        sigma = float(((1.0 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod)[int(time)]) ** 0.5
        x = y / (1.0 + sigma**2) ** 0.5
        output = _called(model, architecture, x, time, labels)
        if euler:
            scheduler._step_index = index
            scheduler.scale_model_input(y, time)
            own = scheduler.step(output, time, y).pred_original_sample
        else:
            own = scheduler.step(output, int(time), x).pred_original_sample
        found = net(y, sigma, labels)
        assert float((found - own).abs().max()) <= 1e-5 * float(own.abs().max())


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_edm_schedulers_estimate(prediction):
    model = network("attention").double()
    scheduler = diffusers.EDMEulerScheduler(sigma_data=0.7, prediction_type=prediction)
    net = denoisers.from_diffusers(model, scheduler, null_label=3)
    scheduler.set_timesteps(8)
    y, labels = _images(net), _labels(net)
    for time, sigma in zip(scheduler.timesteps[1:6], scheduler.sigmas[1:6], strict=True):
        x = scheduler.scale_model_input(y, time)
        own = scheduler.step(_called(model, "attention", x, time, labels), time, y).pred_original_sample
        found = net(y, float(sigma), labels)
        assert float((found - own).abs().max()) <= 1e-5 * float(own.abs().max())


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_matching_steps_to_the_denoised_image(shift):
    """The scheduler has no estimate of its own: its step of the whole remaining length is one."""
    model = network("conditional").double()
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    net = denoisers.from_diffusers(model, scheduler, **conditioning("conditional"))
    scheduler.set_timesteps(10)
    y, labels = _images(net), _labels(net)
    for index in (1, 5, 8):
        s, time = float(scheduler.sigmas[index]), scheduler.timesteps[index]
        x = (1.0 - s) * y
        output = _called(model, "conditional", x, time, labels)
        following = scheduler.sigmas[index + 1]
        scheduler._step_index = index
        stepped = scheduler.step(output, time, x, return_dict=False)[0]
        own = x + (stepped - x) * (s / (s - float(following)))
        found = net(y, s / (1.0 - s), labels)
        assert float((found - own).abs().max()) <= 1e-5 * float(own.abs().max())


def test_a_level_between_timesteps_is_a_fractional_time():
    schedule = denoisers.VPSchedule(diffusers.DDPMScheduler().alphas_cumprod.double().numpy())
    times = np.array([0.0, 0.25, 500.5, 999.0])
    np.testing.assert_allclose(schedule.time(schedule.sigma(times)), times, atol=1e-9)
    assert schedule.sigma(np.array([500.0])) < schedule.sigma(np.array([500.5])) < schedule.sigma(np.array([501.0]))
    assert schedule.time(np.array([1e-4, 1e4])).tolist() == [0.0, 999.0]


def test_nothing_is_clipped_and_images_are_independent():
    scheduler = diffusers.DDPMScheduler(clip_sample=True)
    net = denoisers.from_diffusers(network("group norm"), scheduler)
    y = _images(net, 3, scale=40.0, dtype=torch.float32)
    with torch.no_grad():
        together = net(y, 5.0)
        one_by_one = torch.cat([net(image[None], 5.0) for image in y])
        levels = net(y, torch.tensor([5.0, 0.3, 5.0]))
    assert float(together.abs().max()) > 10.0
    torch.testing.assert_close(together, one_by_one, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(levels[[0, 2]], together[[0, 2]], rtol=1e-4, atol=1e-3)
    assert not torch.allclose(levels[1], together[1], rtol=1e-2)


def test_no_label_asks_the_unconditional_counterpart():
    torch.manual_seed(0)
    dit = network("DiT").double()
    net = denoisers.from_diffusers(dit, diffusers.DDPMScheduler())
    assert net.label_dim == 10
    y = _images(net)
    null = torch.full((2,), 10)
    sigma = 1.5
    time = float(net.schedule.time(np.array([sigma]))[0])
    x = float(net.schedule.scale(np.array(sigma))) * y
    torch.testing.assert_close(net(y, sigma), y - sigma * _called(dit, "DiT", x, time, null))
    given = conditioning("conditional")
    conditional = denoisers.from_diffusers(network("conditional").double(), diffusers.DDPMScheduler(), **given)
    swapped = denoisers.from_diffusers(
        network("conditional").double(), diffusers.DDPMScheduler(), conditions=given["null_condition"][None]
    )
    y = _images(conditional)
    torch.testing.assert_close(conditional(y, sigma), swapped(y, sigma, torch.zeros(2, dtype=torch.int64)))


def test_saved_directories_are_read_without_a_network(tmp_path):
    model = network("group norm")
    model.save_pretrained(tmp_path / "unet")
    diffusers.DDIMScheduler(prediction_type="v_prediction").save_pretrained(tmp_path / "scheduler")
    direct = denoisers.from_diffusers(model, diffusers.DDIMScheduler(prediction_type="v_prediction"))
    y = _images(direct, dtype=torch.float32)
    for path in (tmp_path, tmp_path / "unet"):  # a pipeline's directory, and its model beside the scheduler
        net = denoisers.from_diffusers(path)
        assert net.prediction == "v"
        torch.testing.assert_close(net(y, 2.0), direct(y, 2.0))
    pipeline = diffusers.DDPMPipeline(model, diffusers.DDPMScheduler())
    pipeline.save_pretrained(tmp_path / "pipeline")
    for source in (pipeline, tmp_path / "pipeline"):
        assert denoisers.from_diffusers(source).prediction == "epsilon"


def test_short_weights_give_images_in_float32():
    net = denoisers.from_diffusers(network("group norm"), diffusers.DDPMScheduler())
    short = denoisers.from_diffusers(network("group norm"), diffusers.DDPMScheduler(), dtype=torch.bfloat16)
    y = _images(net, dtype=torch.float32)
    found = short(y, 0.5)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, net(y, 0.5), rtol=0.1, atol=0.1)


def test_callables_by_prediction():
    """One Gaussian data set, whose exact posterior mean every parameterisation must give: x0 ~ N(0, 4)."""
    schedule = denoisers.VPSchedule(diffusers.DDPMScheduler().alphas_cumprod.double().numpy())
    flow, edm = denoisers.FlowSchedule(), denoisers.EDMSchedule(0.5)

    def exact(y, sigma):
        return 4.0 / (4.0 + sigma**2) * y

    def through(clock):
        def at(x, time):
            sigma = torch.from_numpy(clock.sigma(time.double().numpy()))[:, None, None, None]
            a = torch.from_numpy(clock.scale(sigma.numpy()))
            y = x / a
            return y, exact(y, sigma), a, a * sigma, sigma

        return at

    def epsilon(x, time):
        y, d, _, _, sigma = through(schedule)(x, time)
        return (y - d) / sigma

    def v(x, time):
        y, d, a, s, sigma = through(schedule)(x, time)
        return a * (y - d) / sigma - s * d

    def score(x, time):
        y, d, a, _, sigma = through(schedule)(x, time)
        return (d - y) / sigma**2 / a

    def velocity(x, time):
        y, d, _, _, sigma = through(flow)(x, time)
        return (y - d) / sigma - d

    def raw(x, time):
        y, d, _, _, sigma = through(edm)(x, time)
        r2 = sigma**2 + 0.25
        return (d - 0.25 / r2 * y) / (sigma * 0.5 / r2**0.5)

    shape = (1, 4, 6)
    nets = [
        denoisers.from_callable(epsilon, "epsilon", schedule, image_shape=shape),
        denoisers.from_callable(v, "v", schedule, image_shape=shape),
        denoisers.from_callable(score, "score", schedule, image_shape=shape),
        denoisers.from_callable(velocity, "flow", flow, image_shape=shape),
        denoisers.from_callable(raw, "edm", edm, image_shape=shape),
        denoisers.from_callable(lambda y, sigma: exact(y, sigma[:, None, None, None]), image_shape=shape),
    ]
    y = _images(nets[0])
    for sigma in (0.05, 1.0, 30.0):
        for net in nets:
            torch.testing.assert_close(net(y, sigma), exact(y, sigma), rtol=1e-9, atol=1e-9)


class _Diffusion:
    """The attributes that denoising-diffusion-pytorch's GaussianDiffusion has."""

    def __init__(self, objective):
        self.model = _Doubled()
        self.objective, self.channels, self.image_size = objective, 1, (4, 4)
        self.betas = torch.linspace(1e-4, 0.02, 1000)
        self.alphas_cumprod = torch.cumprod(1.0 - self.betas, 0)


class _Doubled(torch.nn.Module):
    def forward(self, x, time):
        return 2.0 * x + time[:, None, None, None] / 1000.0


@pytest.mark.parametrize("objective", ["pred_noise", "pred_x0", "pred_v"])
def test_denoising_diffusion_objects(objective):
    diffusion = _Diffusion(objective)
    net = denoisers.from_denoising_diffusion_pytorch(diffusion)
    kept = float(torch.cumprod(1.0 - diffusion.betas.double(), 0)[300])
    a, s = kept**0.5, (1.0 - kept) ** 0.5
    y = _images(net)
    out = 2.0 * a * y + 0.3
    expected = {"pred_noise": y - s / a * out, "pred_x0": out, "pred_v": a * a * y - s * out}[objective]
    torch.testing.assert_close(net(y, s / a), expected, rtol=1e-6, atol=1e-6)


def _message(call, kind=FastpatchError):
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert "expected" in text
    return text


def test_what_is_refused(tmp_path):
    ddpm = diffusers.DDPMScheduler()
    plain, classes, text = network("group norm"), network("attention"), network("conditional")
    refused = denoisers.from_diffusers
    assert "no scheduler configuration" in _message(lambda: refused(plain), InvalidInputError)
    plain.save_pretrained(tmp_path / "alone")
    assert "no scheduler configuration" in _message(lambda: refused(tmp_path / "alone"), InvalidInputError)
    assert "save_pretrained" in _message(lambda: refused(tmp_path), ResultFileError)
    ddpm.register_to_config(prediction_type="noise2noise")
    assert "noise2noise" in _message(lambda: refused(plain, ddpm), InvalidInputError)
    ddpm = diffusers.DDPMScheduler()
    y = torch.zeros(1, 3, 8, 12)
    assert "labels are missing" in _message(lambda: refused(classes, ddpm)(y, 1.0), InvalidInputError)
    assert "null_label is 2" in _message(lambda: refused(classes, ddpm, null_label=2), InvalidInputError)
    odd = diffusers.UNet2DModel(
        in_channels=3, out_channels=4, sample_size=8, block_out_channels=(16, 16), norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    assert "takes 3 channels and returns 4" in _message(lambda: refused(odd, ddpm), InvalidInputError)
    assert "channels" in _message(lambda: refused(plain, ddpm, image_shape=(3, 8, 8)), InvalidInputError)
    assert "shape (1, 3, 8, 12)" in _message(lambda: refused(plain, ddpm)(y, 1.0), InvalidInputError)
    assert "embeddings of its prompts" in _message(lambda: refused(text, ddpm), InvalidInputError)
    assert "text encoder is absent" in _message(
        lambda: refused(text, ddpm, prompts=["a coat", "a shoe"]), InvalidInputError
    )
    ends = diffusers.DDIMScheduler(rescale_betas_zero_snr=True, prediction_type="epsilon")
    assert "zero terminal" in _message(lambda: refused(plain, ends), InvalidInputError)
    assert "zero terminal" in _message(
        lambda: denoisers.from_callable(abs, "epsilon", [0.9, 0.5, 0.0], image_shape=(1, 4, 4)), InvalidInputError
    )
    steep = np.cumprod(1.0 - np.minimum(np.linspace(1e-4, 1.5, 60), 0.999))  # far noisier, but with a signal left
    assert denoisers.from_callable(abs, "epsilon", steep, image_shape=(1, 4, 4)).schedule.sigma_max > 1e4
    ends = diffusers.DDIMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    assert torch.isfinite(refused(plain, ends)(torch.ones(1, 1, 8, 12), 50.0)).all()
    assert "objective" in _message(lambda: denoisers.from_denoising_diffusion_pytorch(_Diffusion("pred_u")))
    assert "GaussianDiffusion" in _message(lambda: denoisers.from_denoising_diffusion_pytorch(plain))
    assert "prediction type" in _message(lambda: denoisers.from_callable(abs, "noise", image_shape=(1, 4, 4)))
    ve = diffusers.ScoreSdeVeScheduler()
    assert "neither alphas_cumprod" in _message(lambda: refused(plain, ve), InvalidInputError)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text(json.dumps({"_class_name": "NoSuchModel"}))
    assert "NoSuchModel" in _message(lambda: refused(tmp_path / "odd"), ResultFileError)
