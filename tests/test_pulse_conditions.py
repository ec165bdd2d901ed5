"""Which levels of the grid each condition guides: the paper's protocol, its controls, and what makes them fair."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from pulse_cases import gaussian_network, settings  # noqa: E402

from fastpatch.errors import DtypeError, InvalidInputError  # noqa: E402
from fastpatch.neural import Pulse, constant, latents, sample, sigma_grid  # noqa: E402
from fastpatch.neural.pulse import PulseSettings  # noqa: E402
from fastpatch.neural.pulse.conditions import conditions, scan_positions, trials  # noqa: E402
from fastpatch.neural.pulse.plan import Plan  # noqa: E402
from fastpatch.neural.pulse.treatment import UNGUIDED, Treatment, dose, middle, on_grid  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

GRID = sigma_grid()


def guided(pulse, steps=32):
    """Evaluations that the sampler makes of network and guide under a pulse."""
    net = gaussian_network()
    run = sample(net, latents([0], net), [0], guide="zero-label", guidance=pulse, steps=steps)
    return run.evaluations, run.guide_evaluations


class TestTreatment:
    @given(st.floats(1e-3, 90.0), st.floats(1e-3, 50.0))
    def test_holds_the_levels_at_which_the_pulse_acts(self, centre, half_width):
        pulse = Pulse(centre, half_width, 2.0)
        held = on_grid(pulse, GRID)
        acts = [level for level, sigma in enumerate(GRID[:-1]) if pulse(float(sigma)) != 0.0]
        assert list(range(held.start, held.stop)) == acts
        assert (held == UNGUIDED) == (not acts)

    @pytest.mark.parametrize("pulse", [Pulse(1.5, 0.75, 1.0), Pulse(80.0, 20.0, 1.0), Pulse(0.002, 0.01, 1.0)])
    def test_counts_the_evaluations_that_the_sampler_makes(self, pulse):
        held = on_grid(pulse, GRID)
        assert (UNGUIDED.evaluations(32), held.guided_evaluations) == guided(pulse)
        # From the branch on, the state is x(sigma_i) and two evaluations a step remain, one in the last.
        assert held.evaluations(32) == 63 - 2 * held.branch

    def test_branches_off_before_its_first_guided_evaluation(self):
        # Heun's second evaluation of step 3 is at level 4.
        assert Treatment(4, 6, 1.0).branch == 3
        assert Treatment(0, 6, 1.0).branch == 0

    def test_of_no_weight_is_none(self):
        assert on_grid(Pulse(1.5, 0.75, 0.0), GRID) == UNGUIDED

    def test_dose_is_the_displacement_along_the_guidance(self):
        class Shifted:
            """D = x + e with a label and x without: without guidance of e, nothing but guidance moves x."""

            img_resolution, img_channels, label_dim = 4, 1, 1

            def __call__(self, x, sigma, class_labels=None):
                return x if class_labels is None else x + shift

        net, shift = Shifted(), torch.arange(16.0).reshape(1, 4, 4)
        noise = latents([0], net)
        unguided = sample(net, noise, [0]).images
        for pulse in (Pulse(1.5, 0.75, 2.0), Pulse(60.0, 30.0, -1.0), Pulse(0.01, 0.2, 0.5)):
            moved = sample(net, noise, [0], guide="zero-label", guidance=pulse).images - unguided
            np.testing.assert_allclose(moved[0], dose(on_grid(pulse, GRID), GRID) * shift, atol=2e-3)

    def test_dose_is_nearly_the_width_in_log_sigma(self):
        grid = sigma_grid(2000)
        width = math.log(4.0)
        assert dose(on_grid(Pulse(2.5, 1.5, 3.0), grid), grid) == pytest.approx(3.0 * width, rel=0.01)


class TestProtocol:
    def test_is_ten_classes_two_conditions_forty_trials(self):
        plan = Plan(PulseSettings(sigma_c=1.5, trials=40, controls=("random",)))
        assert list(plan.conditions) == ["unguided", "critical", "random"]
        assert len(plan.trials) == 400
        assert len({trial.seed for trial in plan.trials}) == 400
        assert [trial.class_label for trial in plan.trials[:10]] == list(range(10))

    def test_uniform_centres_miss_all_levels_as_often_as_the_grid_is_sparse(self):
        chosen = PulseSettings(sigma_c=1.5, half_width=0.5, trials=150, controls=("random",))
        random = conditions(chosen)["random"]
        missed = np.mean([one == UNGUIDED for one in random])
        # The measure of all centres within 0.5 of a level.
        centres = np.linspace(0.002, 80.0, 200_001)
        expected = np.mean(np.abs(centres[:, None] - GRID[:-1]).min(axis=1) > 0.5)
        assert expected == pytest.approx(0.78, abs=0.01)
        assert missed == pytest.approx(expected, abs=5 * math.sqrt(0.78 * 0.22 / len(random)))

    def test_trials_do_not_depend_on_one_another_nor_on_the_controls(self):
        full = settings(classes=(0, 1, 2), trials=4)
        part = settings(classes=(2,), trials=2, controls=("step-matched", "random"))
        by_trial = {(one.class_label, one.number): place for place, one in enumerate(trials(full))}
        everything, some = conditions(full), conditions(part)
        for place, trial in enumerate(trials(part)):
            same = by_trial[trial.class_label, trial.number]
            assert trials(full)[same] == trial
            for name in ("random", "step-matched"):
                assert some[name][place] == everything[name][same]
        assert trials(settings(seed=1))[0].seed != trials(full)[0].seed


class TestFairControls:
    @pytest.mark.parametrize("sigma_c", [0.004, 1.5, 75.0])
    def test_step_matched_pulses_cost_what_the_critical_one_does(self, sigma_c):
        chosen = settings(sigma_c=sigma_c, steps=12, trials=100)
        expected = guided(chosen.pulse, 12)
        found = set(conditions(chosen)["step-matched"])
        for one in found:
            window = chosen.grid[one.stop - 1], chosen.grid[one.start]
            moved = Pulse(sum(window) / 2, (window[1] - window[0]) / 2 + 1e-9 * window[0], 3.0)
            assert on_grid(moved, chosen.grid) == one
            assert guided(moved, 12) == expected

    def test_step_matched_pulses_are_uniform_over_all_positions(self):
        chosen = PulseSettings(sigma_c=1.5, trials=200)
        starts = np.array([one.start for one in conditions(chosen)["step-matched"]])
        width = chosen.critical.stop - chosen.critical.start
        # Level 0 is evaluated once only: a pulse that holds it has one guided evaluation less.
        counts = np.bincount(starts, minlength=33 - width)
        assert counts[0] == 0
        assert len(counts) == 33 - width
        expected = len(starts) / (32 - width)
        assert np.sum((counts[1:] - expected) ** 2 / expected) < 60.0  # chi squared, 27 degrees of freedom

    def test_log_uniform_pulses_keep_the_relative_width(self):
        found = conditions(PulseSettings(sigma_c=1.5, trials=100))["log-uniform"]
        widths = [math.log(GRID[one.start] / GRID[one.stop - 1]) for one in found if one != UNGUIDED]
        # The window is [c / 2, 3 c / 2]; no two levels inside are further apart than log 3.
        assert max(widths) <= math.log(3.0)
        middles = np.log([GRID[one.start] for one in found if one != UNGUIDED])
        share_below_one = np.mean(middles < 0.0)
        assert share_below_one == pytest.approx(math.log(1 / 0.002) / math.log(80 / 0.002), abs=0.1)

    def test_constant_guidance_has_the_dose_of_the_pulse(self):
        chosen = settings()
        (always,) = set(conditions(chosen)["constant"])
        assert (always.start, always.stop) == (0, 8)
        assert dose(always, chosen.grid) == pytest.approx(dose(chosen.critical, chosen.grid), rel=1e-12)

    def test_a_pulse_that_covers_everything_is_constant_guidance(self):
        chosen = settings(sigma_c=50.0, half_width=60.0)
        assert set(conditions(chosen)["constant"]) == {chosen.critical} == {Treatment(0, 8, 3.0)}
        net = gaussian_network()
        noise = latents([1, 2], net)
        options = {"guide": "zero-label", "steps": 8}
        pulsed = sample(net, noise, [0, 1], guidance=chosen.pulse, **options)
        always = sample(net, noise, [0, 1], guidance=constant(3.0), **options)
        assert torch.equal(pulsed.images, always.images)


class TestScan:
    @pytest.mark.parametrize("step", [0.5, 1.0, 3.0])
    def test_passes_over_the_critical_pulse_in_equal_octaves(self, step):
        chosen = settings(steps=400, scan_step=step)
        positions = scan_positions(chosen)
        assert chosen.critical in positions
        assert {one.guided_evaluations for one in positions} == {chosen.critical.guided_evaluations}
        octaves = -np.diff(np.log2([middle(one, chosen.grid) for one in positions]))
        np.testing.assert_allclose(octaves, step, atol=0.08)  # the distance of two levels, at most
        assert len(positions) == pytest.approx(13.7 / step, abs=1.5)

    def test_reaches_both_ends_of_the_grid(self):
        positions = scan_positions(settings(steps=32, scan_step=0.01))
        starts = [one.start for one in positions]
        assert starts == list(range(1, 33 - (positions[0].stop - positions[0].start)))

    def test_by_relative_width_has_a_pulse_around_every_level(self):
        chosen = settings(steps=32, scan_by="relative-width", scan_step=0.01)
        for level, one in enumerate(scan_positions(chosen)):
            inside = np.flatnonzero(np.abs(GRID[:-1] / GRID[level] - 1.0) <= 0.5)
            assert (one.start, one.stop) == (inside[0], inside[-1] + 1)

    def test_is_left_out_on_request(self):
        assert scan_positions(settings(controls=("bands",))) == []


def test_bands_are_those_of_the_critical_pulse():
    chosen = settings(controls=("bands",))
    found = conditions(chosen)
    assert list(found) == ["unguided", "critical", "critical, low band", "critical, high band"]
    (low,), (high,) = (set(found[f"critical, {band} band"]) for band in ("low", "high"))
    assert (low.band, high.band) == ("low", "high")
    assert low.start == high.start == chosen.critical.start


def test_the_identity_is_json_and_tells_settings_apart():
    first, second = settings(controls=("scan", "random")), settings(controls=("random", "scan"), half_width=0.75)
    assert json.loads(json.dumps(first.identity)) == first.identity == second.identity
    assert settings(weight=2.0).identity != settings().identity


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sigma_c": 200.0, "half_width": 1.0}, "the pulse acts at noise levels from 199 to 201; expected some of"),
        ({"sigma_c": 30.0, "half_width": 0.1}, "from 29.9 to 30.1 falls between two steps of the sampler"),
        ({"sigma_c": -1.0}, "the pulse's centre is -1.0; expected a positive noise level"),
        ({"half_width": 0.0}, "the pulse's half_width is 0.0; expected a positive noise level"),
        ({"weight": 0.0}, "weight is 0; expected the strength of the pulse"),
        ({"weight": math.nan}, "weight is nan; expected a finite number"),
        ({"classes": ()}, r"classes are \[\]; expected at least one class, each once"),
        ({"classes": (1, 1)}, r"classes are \[1, 1\]; expected at least one class, each once"),
        ({"trials": 0}, "trials is 0; expected at least 1"),
        ({"controls": ("placebo",)}, "controls hold 'placebo'; expected some of random, step-matched"),
        ({"scan_by": "eye"}, "scan_by is 'eye'; expected one of evaluations, relative-width"),
        ({"cutoff": 0.0}, "cutoff is 0.0; expected a positive shell number"),
        ({"scan_step": 0}, "scan_step is 0; expected a positive number of octaves"),
    ],
)
def test_settings_refuse_what_is_no_experiment(changes, message):
    with pytest.raises(InvalidInputError, match=message):
        settings(**changes)


def test_settings_refuse_fractions():
    with pytest.raises(DtypeError, match=r"trials is 2\.5; expected an integer"):
        settings(trials=2.5)
