"""Decided information of a denoiser that is known exactly, the window from it, and its other units."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
xr = pytest.importorskip("xarray")

from fastpatch.errors import FastpatchError, InvalidInputError  # noqa: E402
from fastpatch.neural import denoisers, sample  # noqa: E402
from fastpatch.neural.denoisers.schedules import described, restored  # noqa: E402
from fastpatch.neural.probes.finite import NotFiniteError  # noqa: E402
from fastpatch.neural.probes.information import information_levels, measure_information  # noqa: E402
from fastpatch.neural.window import entropic_sigmas, guidance_window  # noqa: E402
from fastpatch.neural.window.units import step_window  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SHAPE = (2, 4, 6)
PATTERN = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))


class TwoImages(torch.nn.Module):
    """Data of two images, m and -m, the classes 0 and 1: D_c is the image, D_u = m tanh(<m, x> / sigma^2)."""

    image_shape, label_dim, img_channels, img_resolution = SHAPE, 2, 2, 6

    def forward(self, x, sigma, class_labels=None):
        sigma = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1, 1, 1)
        if class_labels is not None:
            return (1.0 - 2.0 * class_labels.to(x.dtype)).reshape(-1, 1, 1, 1) * PATTERN.to(x.dtype).expand_as(x)
        overlap = (x * PATTERN.to(x.dtype)).sum((1, 2, 3), keepdim=True)
        return PATTERN.to(x.dtype) * torch.tanh(overlap / sigma**2)


def data(n=400):
    labels = np.arange(n) % 2
    return (1.0 - 2.0 * labels[:, None, None, None]).astype(np.float32) * PATTERN.numpy()[None], labels


@pytest.fixture(scope="module")
def measured():
    images, labels = data()
    return measure_information(TwoImages(), images, labels, runs=400, sigmas=np.geomspace(80.0, 0.3, 40))


def test_two_classes_are_one_bit(measured):
    """The class information integrates to log 2, and all of the image's information is that of its class."""
    assert measured.attrs["label_entropy"] == pytest.approx(math.log(2.0))
    window = guidance_window(measured)
    assert window.answer, window.verdict
    assert window.information.total_low < math.log(2.0) < window.information.total_high
    assert window.information.total == pytest.approx(math.log(2.0), rel=0.1)
    np.testing.assert_allclose(measured["total_rate"], measured["class_rate"], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(measured["conditional_rate"], 0.0, atol=1e-9)
    by_shell = measured["class_rate_by_shell"].sum("wave_shell")
    np.testing.assert_allclose(by_shell, measured["class_rate"].mean("image"), rtol=1e-5)
    # <m, x> / sigma^2 is of order one where sigma = |m|.
    assert window.sigma_low < float(PATTERN.norm()) < window.sigma_high
    assert measured.attrs["evaluations"] == 2 * 400 * 40


def test_both_forms_agree_for_exact_denoisers(measured):
    """D_c is x_0 itself here, so that they agree image by image."""
    window = guidance_window(measured)
    assert window.losses.total[0] == pytest.approx(window.information.total, rel=1e-6)
    assert window.losses.gap[0] == pytest.approx(0.0, abs=1e-6)
    assert (window.basis, window.remark) == ("distance", "")
    assert window.deciding is window.information


class Eager(TwoImages):
    """D_c goes further along the guidance direction than the data by a share a of D_c - D_u."""

    share = 0.5

    def forward(self, x, sigma, class_labels=None):
        free = super().forward(x, sigma)
        if class_labels is None:
            return free
        labelled = super().forward(x, sigma, class_labels)
        return labelled + self.share * (labelled - free)


def test_the_difference_of_both_forms_is_the_networks_own_error():
    """By the distance (1 + a)^2 times the information, by the losses 1 - a^2: the latter alone fits the label."""
    images, labels = data(200)
    found = measure_information(Eager(), images, labels, runs=200, sigmas=np.geomspace(80.0, 0.3, 30))
    window = guidance_window(found)
    plain = guidance_window(measure_information(TwoImages(), images, labels, runs=200, sigmas=found["sigma"]))
    assert window.information.total == pytest.approx(2.25 * plain.information.total, rel=1e-3)
    assert window.losses.total[0] == pytest.approx(0.75 * plain.information.total, rel=1e-3)
    assert window.answer
    assert window.basis == "losses"
    assert "the window is that of the losses" in window.remark
    assert "goes further along the guidance direction" in window.remark
    # The shares of the window are the same, whatever the factor.
    assert window.sigma_high == pytest.approx(plain.sigma_high, rel=1e-3)
    assert window.to_dict()["class_information_by_losses"] == pytest.approx(window.losses.total[0])


def test_verdicts_on_both_forms():
    images, labels = data(100)
    sigmas = np.geomspace(80.0, 0.3, 20)

    class Careless(TwoImages):
        def forward(self, x, sigma, class_labels=None):
            return torch.zeros_like(x) if class_labels is None else super().forward(x, sigma, class_labels)

    careless = guidance_window(measure_information(Careless(), images, labels, runs=100, sigmas=sigmas))
    assert "the guide denoises worse than the missing label explains" in careless.verdict
    assert careless.losses.gap[0] == pytest.approx(0.0, abs=1e-3)
    eager = Eager()
    eager.share = 1.5
    wrong = guidance_window(measure_information(eager, images, labels, runs=100, sigmas=sigmas))
    assert "the label changes what the network says more than it helps it" in wrong.verdict
    assert wrong.losses.information is None
    eager.share = -0.9
    deaf = guidance_window(measure_information(eager, images, labels, runs=100, sigmas=sigmas))
    assert "the network hardly uses its label" in deaf.verdict
    for window in (careless, wrong, deaf):
        assert not window.answer
        assert "\n" not in window.verdict
        json.dumps(window.to_dict(), allow_nan=False)


def test_own_samples_are_as_good_as_data():
    found = measure_information(TwoImages(), runs=64, sigmas=np.geomspace(60.0, 0.5, 24), sample_steps=8)
    assert found.attrs["source"] == "samples"
    assert found.attrs["evaluations"] == 64 * (15 + 2 * 24)
    window = guidance_window(found)
    assert window.information.total == pytest.approx(math.log(2.0), rel=0.3)


def test_unlabelled_images_and_other_guides():
    class Plain(TwoImages):
        label_dim = 0

    images, labels = data(20)
    total = measure_information(Plain(), images, sigmas=[5.0, 1.0])
    assert "class_rate" not in total
    assert "neither labels nor a guide" in guidance_window(total).verdict
    equal = measure_information(Plain(), images, guide=Plain(), sigmas=[5.0, 1.0])
    assert "the guide equals the model" in guidance_window(equal).verdict
    with pytest.raises(InvalidInputError, match="without labels to a network of 2 classes"):
        measure_information(TwoImages(), images)
    with pytest.raises(InvalidInputError, match=r"expected \(n, 2, 4, 6\)"):
        measure_information(TwoImages(), images[:, :1], labels)

    class Larger(TwoImages):
        image_shape = (2, 8, 8)

    with pytest.raises(InvalidInputError, match="the guide is for images 2x8x8"):
        measure_information(TwoImages(), images, labels, guide=Larger())


LABELS = math.log(10.0)


def made(rate, runs=64, entropy=LABELS, noise=0.1, sigma=None):
    sigma = np.geomspace(80.0, 0.01, 60) if sigma is None else sigma
    rng = np.random.default_rng(0)
    shape = rate(sigma)
    scale = entropy / np.trapezoid(shape, -np.log(sigma))
    rates = scale * shape * (1.0 + noise * rng.standard_normal((runs, 1)))
    return xr.Dataset(
        {"class_rate": (("image", "sigma"), rates), "total_rate": (("image", "sigma"), 2.0 * rates)},
        coords={"sigma": sigma},
        attrs={"label_entropy": math.log(10.0), "evaluations": 10},
    )


def bump(sigma):
    return np.exp(-(np.log(sigma / 2.0) ** 2) / 2.0)


def test_the_window_holds_its_share():
    """90 % of a Gaussian lie within 1.645 standard deviations, here 1 in log sigma."""
    window = guidance_window(made(bump))
    assert window.answer
    assert math.log(window.sigma_high / 2.0) == pytest.approx(1.645, abs=0.05)
    assert math.log(window.sigma_low / 2.0) == pytest.approx(-1.645, abs=0.05)
    half = guidance_window(made(bump), share=0.5)
    assert math.log(half.sigma_high / 2.0) == pytest.approx(0.674, abs=0.05)
    guidance = window.w(3.0)
    assert (guidance(2.0), guidance(80.0), guidance(0.02)) == (3.0, 0.0, 0.0)
    assert guidance_window(made(bump)).to_dict()["sigma_low"] == window.sigma_low


@pytest.mark.parametrize(
    ("dataset", "verdict"),
    [
        (made(bump, runs=8), "too few"),
        (made(bump, entropy=0.2), "do not belong together"),
        (made(bump, entropy=9.0), "do not belong together"),
        (made(lambda sigma: np.minimum(1.0, 80.0 / sigma - 1.0)), "evenly over all noise levels"),
        (made(lambda sigma: sigma**2, entropy=1.2), "above the first level"),
        (made(bump, entropy=1e-5), "the guide equals the model"),
    ],
)
def test_plain_verdicts(dataset, verdict):
    window = guidance_window(dataset)
    assert verdict in window.verdict
    assert "\n" not in window.verdict
    assert not window.answer
    json.dumps(window.to_dict(), allow_nan=False)
    with pytest.raises(InvalidInputError, match="there is no window"):
        window.w(1.0)


def test_units_of_samplers():
    levels = np.geomspace(80.0, 0.01, 20)
    found = step_window(levels, 0.5, 6.0)
    inside = [k for k, sigma in enumerate(levels) if 0.5 <= sigma <= 6.0]
    assert (found.first, found.last) == (inside[0], inside[-1])
    # As the guiders of diffusers decide.
    assert [k for k in range(20) if int(found.start * 20) <= k < int(found.stop * 20)] == inside
    for n in (7, 20, 33, 50):
        grid = np.geomspace(80.0, 0.01, n)
        for first in range(n):
            one = step_window(grid, grid[-1], grid[first])
            assert [k for k in range(n) if int(one.start * n) <= k < int(one.stop * n)] == list(range(first, n))
    assert step_window(levels, 3.0, 3.01) is None


def test_percent_is_comfyuis():
    """Its ``percent_to_sigma``, written out: discrete models interpolate log sigma, flow models shift."""
    kept = np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000))
    vp = denoisers.VPSchedule(kept)
    log_sigma = 0.5 * np.log((1.0 - kept) / kept)
    for percent in (0.1, 0.5, 0.87):
        t = (1.0 - percent) * 999.0
        low = int(t)
        sigma = np.exp(log_sigma[low] + (t - low) * (log_sigma[low + 1] - log_sigma[low]))
        assert float(vp.percent(np.array(sigma))) == pytest.approx(percent, abs=1e-9)
        s = 3.0 * (1.0 - percent) / (1.0 + 2.0 * (1.0 - percent))
        flow = denoisers.FlowSchedule(shift=3.0)
        assert float(flow.percent(np.array(s / (1.0 - s)))) == pytest.approx(percent, abs=1e-9)


def test_schedules_survive_a_file():
    vp = denoisers.VPSchedule(np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000)))
    for schedule in (vp, denoisers.FlowSchedule(shift=3.0), denoisers.EDMSchedule(0.7), denoisers.DirectSchedule()):
        again = restored(json.loads(json.dumps(described(schedule))))
        sigma = np.array([0.1, 2.0, 30.0])
        np.testing.assert_array_equal(again.time(sigma), schedule.time(sigma))
    with pytest.raises(InvalidInputError, match="expected one of this package"):
        restored({"kind": "Cosine"})


def test_windows_of_schedulers(tmp_path):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    from diffusers.guiders import ClassifierFreeGuidance

    from fastpatch.neural.window.units import clock_attributes

    scheduler = diffusers.DDIMScheduler()
    schedule = denoisers.VPSchedule(scheduler.alphas_cumprod.numpy())
    dataset = made(bump)
    dataset.attrs |= clock_attributes(SimpleNamespace(schedule=schedule, scheduler=scheduler))
    window = guidance_window(dataset)
    first, last = window.timesteps()
    kept = scheduler.alphas_cumprod.double().numpy()
    sigma = np.sqrt((1.0 - kept) / kept)
    assert sigma[int(first)] <= window.sigma_high <= sigma[int(first) + 1]
    assert sigma[int(last)] <= window.sigma_low <= sigma[int(last) + 1]
    steps = window.steps(20)
    scheduler.set_timesteps(20)
    inside = [k for k, t in enumerate(scheduler.timesteps) if window.sigma_low <= sigma[int(t)] <= window.sigma_high]
    assert list(range(steps.first, steps.last + 1)) == inside
    guider = ClassifierFreeGuidance(guidance_scale=3.0, start=steps.start, stop=steps.stop)
    acts = []
    for k, t in enumerate(scheduler.timesteps):
        guider.set_state(step=k, num_inference_steps=20, timestep=t)
        if guider._is_cfg_enabled():
            acts.append(k)
    assert acts == inside


def test_entropic_sigmas_make_a_run():
    dataset = made(bump)
    levels = entropic_sigmas(dataset, 12)
    assert (np.diff(levels) < 0.0).all()
    assert (abs(np.log(levels / 2.0)) < 1.7).sum() >= 9
    found = sample(TwoImages(), torch.randn(2, *SHAPE), sigmas=levels, solver="euler")
    assert found.evaluations == 12
    with pytest.raises(InvalidInputError, match="no colour_rate"):
        entropic_sigmas(dataset, 12, of="colour")


def test_values_that_are_not_finite_are_named():
    class Broken(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Conv2d(1, 1, 3, padding=1)
            self.second = torch.nn.Conv2d(1, 1, 1)
            with torch.no_grad():
                self.second.weight.fill_(float("nan"))

        def forward(self, x, time):
            return self.second(self.first(x))

    net = denoisers.from_callable(Broken(), image_shape=(1, 4, 4))
    with pytest.raises(NotFiniteError, match=r"sigma = 5, first in its layer module\.second; expected finite"):
        measure_information(net, np.ones((2, 1, 4, 4), np.float32), sigmas=[5.0, 1.0])
    assert issubclass(NotFiniteError, FastpatchError)
    assert len(information_levels(net)) == 24
