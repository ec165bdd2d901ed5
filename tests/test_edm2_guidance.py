"""Guidance by noise level and by band, against guided flows of Gaussian images that are known in closed form."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from gaussian_denoiser import GaussianDenoiser, power_law  # noqa: E402

from fastpatch.analysis import fourier_modes  # noqa: E402
from fastpatch.errors import InvalidInputError  # noqa: E402
from fastpatch.neural import GuidedDenoiser, Pulse, constant, sample, sigma_grid  # noqa: E402
from fastpatch.neural.guidance import project  # noqa: E402
from fastpatch.neural.sampler import heun  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SPECTRUM, GUIDE_SPECTRUM = power_law(8), 0.5 * power_law(8) + 0.2


@pytest.fixture
def net():
    return GaussianDenoiser(SPECTRUM)


@pytest.fixture
def guide():
    return GaussianDenoiser(GUIDE_SPECTRUM)


@pytest.fixture
def classes():
    return GaussianDenoiser(SPECTRUM, means=np.random.default_rng(0).standard_normal((3, 1, 8, 8)))


def noise(*seeds):
    return torch.from_numpy(np.stack([np.random.default_rng(seed).standard_normal((1, 8, 8)) for seed in seeds]))


def test_is_the_extrapolation_from_the_guide_to_the_network(net, guide):
    x, sigma = noise(0, 1), 0.7
    found = GuidedDenoiser(net, guide=guide, guidance=constant(1.5))(x, sigma)
    np.testing.assert_allclose(found, 2.5 * net(x, sigma) - 1.5 * guide(x, sigma), rtol=1e-12)


@pytest.mark.parametrize("weight", [0.7, -0.5])
def test_constant_guidance_gives_the_exact_guided_flow(net, guide, weight):
    denoise = GuidedDenoiser(net, guide=guide, guidance=constant(weight))
    errors = []
    for steps in (20, 40):
        *_, (found, _), _ = heun(denoise, 10.0 * noise(3), sigma_grid(steps, 10.0, 0.05))
        exact = net.solution(10.0 * noise(3).numpy(), 10.0, 0.05, GUIDE_SPECTRUM, weight)
        errors.append(np.abs(found.numpy() - exact).max())
    assert errors[0] < 0.05
    assert errors[1] < 0.3 * errors[0]
    unguided = net.solution(10.0 * noise(3).numpy(), 10.0, 0.05)
    assert np.abs(unguided - exact).max() > 10 * errors[0]


def test_weight_zero_is_no_guidance_bit_for_bit_and_leaves_the_guide_alone(net, guide):
    plain = sample(net, noise(0, 1, 2), steps=8)
    # A window between two of the grid's levels is a weight of zero too.
    grid = sigma_grid(8)
    missed = Pulse(0.5 * (grid[3] + grid[4]), 0.4 * (grid[3] - grid[4]), 9.0)
    for guidance in (constant(0.0), missed, None):
        found = sample(net, noise(0, 1, 2), steps=8, guide=guide, guidance=guidance)
        np.testing.assert_array_equal(found.images, plain.images)
        assert (found.evaluations, found.guide_evaluations) == (15, 0)
    assert guide.seen == []


def test_a_pulse_over_all_noise_levels_is_constant_guidance_bit_for_bit(net, guide):
    pulse, steady = (
        sample(net, noise(0, 1), steps=8, guide=guide, guidance=guidance)
        for guidance in (Pulse(41.0, 41.0, 1.3), constant(1.3))
    )
    np.testing.assert_array_equal(pulse.images, steady.images)
    assert pulse.guide_evaluations == steady.guide_evaluations == 15


def test_weight_is_asked_for_at_every_evaluation_with_its_own_level(net, guide):
    asked = []

    def w(sigma):
        asked.append(sigma)
        return 1.0 if sigma < 1.0 else 0.0

    found = sample(net, noise(0), steps=6, guide=guide, guidance=w)
    grid = sigma_grid(6)
    # Heun evaluates at both ends of each step but the last.
    levels = np.repeat(grid[:-1], 2)[1:]
    np.testing.assert_array_equal(asked, levels)
    np.testing.assert_array_equal([sigma for _, sigma, _ in net.seen], levels)
    np.testing.assert_array_equal([sigma for _, sigma, _ in guide.seen], levels[levels < 1.0])
    assert found.guide_evaluations == np.count_nonzero(levels < 1.0)


def test_a_pulse_is_closed_at_both_ends():
    pulse = Pulse(centre=2.0, half_width=0.5, weight=3.0)
    assert pulse.window == (1.5, 2.5)
    assert [pulse(sigma) for sigma in (1.4999, 1.5, 2.0, 2.5, 2.5001)] == [0.0, 3.0, 3.0, 3.0, 0.0]


def test_a_pulse_acts_inside_its_window_alone(net, guide):
    grid = sigma_grid(10)
    runs = [
        sample(net, noise(5), steps=10, record=range(11), guide=guide, guidance=guidance)
        for guidance in (None, Pulse(centre=float(grid[4]), half_width=1e-9, weight=2.0))
    ]
    plain, pulsed = (run.states for run in runs)
    assert runs[1].guide_evaluations == 2
    np.testing.assert_array_equal(pulsed[:4], plain[:4])
    # The step that ends at the level of the pulse is the first to feel it, by Heun's second evaluation.
    assert (pulsed[4] != plain[4]).any()
    # From then on it runs on unguided.
    *_, (rest, _) = heun(net, pulsed[5], grid[5:])
    np.testing.assert_allclose(pulsed[10], rest, atol=1e-5)


def test_zero_label_guides_by_the_same_network_without_a_label(classes):
    x, sigma, labels = noise(0, 1), 0.9, torch.tensor([2, 0])
    found = GuidedDenoiser(classes, labels, guide="zero-label", guidance=constant(2.0))(x, sigma)
    np.testing.assert_allclose(found, 3.0 * classes(x, sigma, labels) - 2.0 * classes(x, sigma), rtol=1e-12)


def test_a_guide_gets_the_labels_if_it_has_any(classes, guide):
    labels = torch.tensor([2, 0])
    conditional = GaussianDenoiser(GUIDE_SPECTRUM, means=np.zeros((3, 1, 8, 8)))
    for one in (conditional, guide):
        GuidedDenoiser(classes, labels, guide=one, guidance=constant(1.0))(noise(0, 1), 1.0)
    assert conditional.seen[0][2].tolist() == [2, 0]
    assert guide.seen[0][2] is None


class TestBands:
    def test_low_and_high_add_up_to_all(self):
        direction = noise(0, 1)
        parts = [project(direction, band) for band in ("low", "high")]
        np.testing.assert_allclose(parts[0] + parts[1], direction, atol=1e-14)
        assert project(direction, "all") is direction
        assert abs((parts[0] * parts[1]).sum()) < 1e-12

    @pytest.mark.parametrize("shape", [(12, 12), (9, 12), (13, 10)])
    @pytest.mark.parametrize("cutoff", [3.0, 2.0, 0.5])
    def test_pass_the_modes_of_their_shells(self, shape, cutoff):
        modes = torch.from_numpy(fourier_modes(shape, range(5), diagonal=True))
        # |m| of a mode is n along an axis and sqrt(2) n along the diagonal.
        inside = np.outer(np.arange(5), [1.0, 1.0, math.sqrt(2.0)]) <= cutoff
        low = project(modes, "low", cutoff)
        np.testing.assert_allclose(low, modes * torch.from_numpy(inside)[:, :, None, None], atol=1e-14)
        np.testing.assert_allclose(project(modes, "high", cutoff), modes - low, atol=1e-14)

    def test_are_real_projections_on_every_wave_vector(self):
        direction = noise(0)[0]
        low = project(direction, "low", 2.5)
        m = np.fft.fftfreq(8, 1 / 8)
        mask = np.hypot(m[:, None], m) <= 2.5
        np.testing.assert_allclose(low, np.fft.ifft2(mask * np.fft.fft2(direction.numpy())), atol=1e-14)
        np.testing.assert_allclose(project(low, "low", 2.5), low, atol=1e-14)

    def test_guidance_in_a_band_moves_that_band_alone(self, net, guide):
        runs = {
            band: sample(net, noise(3), steps=8, guide=guide, guidance=constant(1.0), band=band).images
            for band in ("all", "low", "high")
        }
        runs["none"] = sample(net, noise(3), steps=8).images
        # The flow is linear and mixes no modes.
        for band, other in (("low", "high"), ("high", "low")):
            np.testing.assert_allclose(project(runs[band], band), project(runs["all"], band), atol=3e-5)
            np.testing.assert_allclose(project(runs[band], other), project(runs["none"], other), atol=3e-5)
            assert (project(runs["all"], band) - project(runs["none"], band)).abs().max() > 0.05

    def test_band_all_is_guidance_without_a_transform_bit_for_bit(self, net, guide):
        x = noise(0)
        found = GuidedDenoiser(net, guide=guide, guidance=constant(0.7), band="all")(x, 1.0)
        denoised = net(x, 1.0)
        np.testing.assert_array_equal(found, denoised + 0.7 * (denoised - guide(x, 1.0)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"band": "middle"}, "band is 'middle'; expected one of 'all', 'low', 'high'"),
        ({"cutoff": 0.0}, r"cutoff is 0\.0; expected a positive shell number"),
        ({"guide": "nothing"}, "guide is 'nothing'; expected a network or 'zero-label'"),
        ({"guide": None}, "guidance is given without a guide; expected a network or 'zero-label'"),
        (
            {"guide": GaussianDenoiser(power_law(16))},
            "the guide is for images 1x16x16; expected those of the network, 1x8x8",
        ),
        (
            {"guide": GaussianDenoiser(power_law(8), channels=3)},
            "the guide is for images 3x8x8; expected those of the network, 1x8x8",
        ),
        (
            {"guide": GaussianDenoiser(power_law(8), means=np.zeros((5, 1, 8, 8)))},
            "the guide has 5 labels; expected none, or the network's 3",
        ),
    ],
)
def test_refuses_what_cannot_guide(classes, arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        GuidedDenoiser(classes, **{"guide": "zero-label", "guidance": constant(1.0), **arguments})


def test_a_network_without_labels_has_no_zero_label(net):
    with pytest.raises(InvalidInputError, match="guide is 'zero-label' for a network without labels; expected another"):
        GuidedDenoiser(net, guide="zero-label")


def test_weights_are_finite(net, guide):
    with pytest.raises(InvalidInputError, match=r"w\(0\.5\) is nan; expected a finite number"):
        GuidedDenoiser(net, guide=guide, guidance=lambda sigma: math.nan)(noise(0), 0.5)
    with pytest.raises(InvalidInputError, match="weight is inf"):
        constant(math.inf)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1.0, 1.0), r"the pulse's centre is 0\.0; expected a positive noise level"),
        ((1.0, -1.0, 1.0), r"the pulse's half_width is -1\.0; expected a positive noise level"),
        ((1.0, 1.0, math.nan), "the pulse's weight is nan; expected a finite number"),
    ],
)
def test_refuses_what_is_no_pulse(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        Pulse(*arguments)


def test_pulses_may_reach_beyond_the_run_but_not_miss_it(net, guide):
    for pulse in (Pulse(79.0, 5.0, 1.0), Pulse(0.01, 0.5, 1.0), Pulse(81.0, 1.0, 1.0)):
        assert sample(net, noise(0), steps=4, guide=guide, guidance=pulse).guide_evaluations > 0
    with pytest.raises(InvalidInputError, match=r"from 81 to 83; expected some of \[0\.002, 80\]"):
        sample(net, noise(0), guide=guide, guidance=Pulse(82.0, 1.0, 1.0))
    with pytest.raises(InvalidInputError, match=r"from 0\.0001 to 0\.0003"):
        sample(net, noise(0), guide=guide, guidance=Pulse(0.0002, 0.0001, 1.0))
