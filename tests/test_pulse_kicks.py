"""Size of a kick and response to it, apart; kicks of equal size; pulses of equal dose; what stands beside."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from gaussian_denoiser import GaussianDenoiser as StationaryDenoiser  # noqa: E402
from gaussian_denoiser import power_law  # noqa: E402
from pulse_cases import MatchedFilter, class_means, experiment, gaussian_network, settings  # noqa: E402

from fastpatch.errors import InvalidInputError, ResultFileError  # noqa: E402
from fastpatch.neural import GaussianDenoiser, latents, sample  # noqa: E402
from fastpatch.neural.guidance import project  # noqa: E402
from fastpatch.neural.pulse import PulseExperiment, with_null, with_second_judge  # noqa: E402
from fastpatch.neural.pulse.branches import Start, run_branches  # noqa: E402
from fastpatch.neural.pulse.conditions import conditions, kick_positions  # noqa: E402
from fastpatch.neural.pulse.push import random_direction  # noqa: E402
from fastpatch.neural.pulse.statistics import per_unit  # noqa: E402
from fastpatch.neural.pulse.treatment import Treatment, dose, middle  # noqa: E402
from fastpatch.neural.sampler import heun  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

GRID = settings().grid
KINDS = [("kick", "all"), ("kick", "low"), ("kick", "high"), ("random kick", "all")]


def branches_of(net, treatments, seeds=None):
    """Samples and pushes of class 0 of one noise, each treated once."""
    record = sorted({one.branch for one in treatments})
    runs = sample(net, latents([5], net), [0], steps=8, record=record)
    starts = [Start(0, one, 0, 7 if seeds is None else seeds[at]) for at, one in enumerate(treatments)]
    return run_branches(
        net, "zero-label", starts, dict(zip(runs.steps, runs.states, strict=True)), GRID, torch.device("cpu")
    )


class TestKicks:
    def test_move_x_by_the_same_at_every_level_and_along_every_direction(self):
        given = [Treatment(level, level + 1, 0.25, band, kind) for level in range(8) for kind, band in KINDS]
        _, pushes = branches_of(gaussian_network(), given)
        np.testing.assert_allclose(pushes[:, 0], 0.25, rtol=1e-6)

    @pytest.mark.parametrize(("kind", "band"), KINDS[:3])
    def test_are_the_flow_of_the_moved_state(self, kind, band):
        """Of Gaussian images: what is left of a kick at sigma is known, mode by mode."""
        net = StationaryDenoiser(power_law(8), means=class_means())
        level = 4
        (moved,), _ = branches_of(net, [Treatment(level, level + 1, 0.25, band, kind)])
        runs = sample(net, latents([5], net), [0], steps=8, record=[level])
        with torch.no_grad():
            at = runs.states[0]
            difference = net(at, float(GRID[level]), torch.tensor([0])) - net(at, float(GRID[level]))
        direction = project(difference, band)
        kick = 0.25 * direction / direction.square().mean().sqrt()
        # The flow is linear: run it on the kick alone, around a mean of zero.
        zero = StationaryDenoiser(power_law(8))
        with torch.no_grad():
            *_, (x, _) = heun(lambda y, sigma: zero(y, sigma), kick, GRID[level:])
        np.testing.assert_allclose(moved - runs.images[0], x[0], atol=2e-5)

    def test_random_ones_are_of_the_trial_and_the_level(self):
        net, kick = gaussian_network(), Treatment(4, 5, 0.25, "all", "random kick")
        images, _ = branches_of(net, [kick] * 3, seeds=[7, 7, 8])
        np.testing.assert_array_equal(images[0], images[1])
        assert (images[0] - images[2]).abs().max() > 0.02

    def test_random_ones_are_the_same_dose_of_every_wavelength(self):
        """Shell by shell; the shares of the bands follow, and the phases are the noise's own."""
        rng = np.random.default_rng(3)
        like = torch.from_numpy(rng.standard_normal((2, 8, 12)).cumsum(axis=1).cumsum(axis=2))
        drawn = [random_direction(like, seed, 4) for seed in range(200)]
        m = np.hypot(np.fft.fftfreq(8, 1 / 8)[:, None], np.fft.fftfreq(12, 1 / 12))
        for low in range(7):
            shell = (low - 1 < m) & (m <= low)
            powers = [np.square(np.abs(np.fft.fft2(one)))[:, shell].sum(axis=1) for one in (like, *drawn[:3])]
            np.testing.assert_allclose(powers[1:], [powers[0]] * 3, rtol=1e-9)
        for band in ("all", "low", "high"):
            norms = [float(project(one, band, 3.0).square().sum()) for one in (like, drawn[0])]
            assert norms[1] == pytest.approx(norms[0], rel=1e-9)
        overlap = [float((one * like).sum() / like.square().sum()) for one in drawn]
        assert abs(np.mean(overlap)) < 4.0 * np.std(overlap) / 200**0.5
        assert float(random_direction(torch.zeros(1, 4, 4), 0, 0).abs().max()) == 0.0

    def test_stand_at_the_same_levels_in_steps_of_octaves(self):
        chosen = settings(steps=64, kick_step=1.5)
        found = kick_positions(chosen)
        assert list(found) == ["guidance", "random", "low band", "high band"]
        levels = [[one.start for one in given] for given in found.values()]
        assert all(one == levels[0] for one in levels)
        octaves = -np.diff(np.log2(chosen.grid[levels[0]]))
        np.testing.assert_allclose(octaves, 1.5, atol=0.35)
        assert kick_positions(settings(controls=("scan",))) == {}


class TestPushes:
    def test_of_a_constant_difference_are_its_dose(self):
        class Shifted:
            """D = x + e with a label and x without."""

            img_resolution, img_channels, label_dim = 4, 1, 1

            def __call__(self, x, sigma, class_labels=None):
                return x if class_labels is None else x + shift

        shift = torch.arange(16.0).reshape(1, 4, 4)
        given = [Treatment(0, 3, 2.0), Treatment(3, 5, -1.0), Treatment(6, 8, 0.5)]
        _, pushes = branches_of(Shifted(), given)
        size = float(shift.square().mean().sqrt())
        np.testing.assert_allclose(pushes[:, 0], [abs(dose(one, GRID)) * size for one in given], rtol=1e-5)
        np.testing.assert_allclose(pushes[:, 1], size, rtol=1e-5)

    def test_shares_of_the_bands_add_up_to_one(self):
        net = StationaryDenoiser(power_law(8), means=class_means())
        given = [Treatment(2, 4, 3.0), Treatment(2, 4, 3.0, "low"), Treatment(5, 6, 0.1, "all", "kick")]
        _, pushes = branches_of(net, given)
        np.testing.assert_allclose(pushes[:, 2] + pushes[:, 3], 1.0, rtol=1e-5)
        assert ((pushes[:, 2] > 0.05) & (pushes[:, 2] < 0.95)).all()

    def test_gain_per_unit_is_a_ratio_of_means(self):
        rng = np.random.default_rng(0)
        size = rng.uniform(1.0, 2.0, (2, 4, 5))
        ratio, low, high = per_unit(np.stack([3.0 * size, rng.standard_normal(size.shape)]), size)
        np.testing.assert_allclose([ratio[0], low[0], high[0]], 3.0)
        assert ((low[1] < ratio[1]) & (ratio[1] < high[1])).all()
        assert np.isnan(per_unit(size[None], 0.0 * size)[0]).all()


class TestEqualDose:
    def test_neighbours_are_beside_the_critical_pulse(self):
        chosen = settings(sigma_c=1.5, steps=32)
        above, below = (set(conditions(chosen)[f"neighbour {name}"]) for name in ("above", "below"))
        ((above,), (below,)) = above, below
        assert (above.stop, below.start) == (chosen.critical.start, chosen.critical.stop)
        assert above.stop - above.start == below.stop - below.start == chosen.critical.stop - chosen.critical.start
        for one in (above, below):
            assert dose(one, chosen.grid) == pytest.approx(dose(chosen.critical, chosen.grid), rel=1e-12)
        assert middle(above, chosen.grid) > middle(chosen.critical, chosen.grid) > middle(below, chosen.grid)
        assert "neighbour above" not in conditions(settings(sigma_c=75.0))

    def test_full_weight_is_that_of_the_pulse_at_every_level(self):
        assert set(conditions(settings())["constant, full weight"]) == {Treatment(0, 8, 3.0)}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """White Gaussian classes by the network of the tests and by the null with the same moments."""
    directory = tmp_path_factory.mktemp("null")
    chosen = settings(controls=("scan", "kicks", "random"), trials=2, scan_step=3.0, kick_step=4.0, weight=0.5)
    means = class_means()
    null = GaussianDenoiser(means, np.tile(np.eye(64), (3, 1, 1)))
    # The guide of the null has the covariance of all classes together, and their mean.
    one = PulseExperiment(gaussian_network(), chosen, directory / "one")
    other = PulseExperiment(null, chosen, directory / "other", name={"type": "null of these moments"})
    for made in (one, other):
        made.generate()
    return one, other


class TestBeside:
    def test_the_null_responds_as_the_linear_flow_does(self, pair):
        """Of unit variance, every kick at sigma reaches sigma = 0 shrunk by one and the same factor."""
        null = pair[1].evaluate(MatchedFilter())
        sigma = null["kick_sigma"].to_numpy()
        # (1 + sigma^2)^(-1/2) but for the error of eight steps, which is Heun's on dx/dsigma = sigma x / (1 + sigma^2).
        factors = []
        for level in sigma:
            x = torch.ones(1, dtype=torch.float64)
            start = int(np.flatnonzero(pair[1].settings.grid == level)[0])
            *_, (x, _) = heun(lambda y, at: y / (1.0 + at**2), x, pair[1].settings.grid[start:])
            factors.append(float(x))
        net, kicks = pair[1].net, pair[1].plan.kicks["random"]
        for trial_class, trial in np.ndindex(2, 2):
            one = pair[1].plan.trials[trial * 2 + trial_class]
            label = torch.tensor([one.class_label])
            run = sample(net, latents([one.seed], net), label, steps=8, record=[kick.start for kick in kicks])
            for at, kick in enumerate(kicks):
                x, level = run.states[run.steps.index(kick.start)], float(sigma[at])
                noise = random_direction((net(x, level, label) - net(x, level))[0], one.seed, kick.start)
                moved = kick.weight * noise / noise.square().mean().sqrt()
                expected = factors[at] * float((moved * torch.from_numpy(class_means()[one.class_label])).sum())
                found = null["kick_score"].sel(metric="logit", kick="random").isel(kick_position=at)
                base = null["score"].sel(metric="logit", condition="unguided")
                index = {"class_label": trial_class, "trial": trial}
                assert float(found.isel(index) - base.isel(index)) == pytest.approx(expected, abs=2e-5)

    def test_stands_under_its_own_names(self, pair):
        one, other = (made.evaluate(MatchedFilter()) for made in pair)
        both = with_second_judge(with_null(one, other), one, "matched filter")
        for name in ("scan_gain", "gain_overall", "kick_gain", "displacement", "advantage_overall"):
            np.testing.assert_array_equal(both[f"null_{name}"], other[name])
            np.testing.assert_array_equal(both[name], one[name])
        np.testing.assert_array_equal(both["second_gain_mean"], one["gain_mean"])
        assert both.attrs["second_classifier"] == "matched filter"
        assert "second_displacement" not in both
        # Guided towards the mean of all classes, the null is pushed otherwise than the network, by less than twice.
        assert 0.5 < float((both["null_scan_displacement"] / both["scan_displacement"]).mean()) < 2.0

    def test_names_its_network_as_it_was_told(self, pair):
        manifest = json.loads((pair[1].store.directory / "manifest.json").read_text())
        assert manifest["identity"]["network"] == {"type": "null of these moments"}


def test_samples_without_their_pushes_are_refused_by_format(tmp_path):
    made = experiment(tmp_path, gaussian_network())
    manifest = made.store.directory / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 1}))
    with pytest.raises(ResultFileError, match=r"manifest\.json is not readable \(format 1, expected 3\)"):
        experiment(tmp_path, gaussian_network())


@pytest.mark.parametrize(("name", "what"), [("kick", "a positive displacement"), ("kick_step", "number of octaves")])
def test_kicks_of_no_size_are_refused(name, what):
    with pytest.raises(InvalidInputError, match=f"{name} is 0.*; expected .*{what}"):
        settings(**{name: 0.0})
