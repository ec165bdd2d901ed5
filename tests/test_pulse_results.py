"""From samples to scores, differences, the dose-response curve and the verdict; figures; ``fastpatch edm2 pulse``."""

import json
import re
import sys
from importlib import import_module

import numpy as np
import pytest
import xarray as xr
from matplotlib.image import imread
from typer.testing import CliRunner

import fastpatch as fp
from fastpatch.analysis.figures import (
    draw_condition_gains,
    draw_dose_response,
    draw_pulse_figure,
    figure_style,
    save_figure,
)
from fastpatch.cli.edm2 import app
from fastpatch.cli.plot import plot
from fastpatch.errors import FastpatchError, InvalidInputError

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from edm2_cases import random_network  # noqa: E402
from image_cases import FASHION  # noqa: E402
from pulse_cases import MatchedFilter, experiment, gaussian_network, settings  # noqa: E402

from fastpatch.neural import analyze  # noqa: E402
from fastpatch.neural.edm2 import load, save_network  # noqa: E402
from fastpatch.neural.pulse import PulseExperiment, check_classifier, critical_attributes, verdict  # noqa: E402
from fastpatch.neural.pulse.information import class_information  # noqa: E402
from fastpatch.neural.pulse.scores import score  # noqa: E402
from fastpatch.neural.pulse.statistics import difference, response  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

runner = CliRunner()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Of the exact denoiser of images with unit variance around their classes, scored by their projections."""
    directory = tmp_path_factory.mktemp("pulse")
    chosen = settings(sigma_c=1.2, classes=(0, 1, 2), trials=3, steps=60, batch=64, scan_step=0.5, weight=0.5)
    made = PulseExperiment(gaussian_network(scale=3.0), chosen, directory)
    made.generate()
    return made.evaluate(MatchedFilter())


class TestScores:
    def test_are_those_of_the_class_asked_for(self):
        class Fixed:
            labels = ("a", "b", "c")

            def logits(self, images):
                return torch.tensor([[1.0, 2.0, 0.5], [3.0, -1.0, 0.0]])

        found = score(Fixed(), torch.zeros(2, 1, 4, 4), [2, 0])
        shares = np.exp([[1.0, 2.0, 0.5], [3.0, -1.0, 0.0]])
        shares /= shares.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found, [[0.5, shares[0, 2], 0.0], [3.0, shares[1, 0], 1.0]])

    def test_need_a_classifier_of_the_networks_classes(self):
        class Narrow(MatchedFilter):
            def logits(self, images):
                return super().logits(images)[:, :2]

        net = gaussian_network()
        check_classifier(MatchedFilter(), net)
        with pytest.raises(InvalidInputError, match=r"the classifier has 4 labels .* but the network has 3 classes"):
            check_classifier(MatchedFilter(4), net)
        with pytest.raises(InvalidInputError, match=r"logits of shape \(1, 2\) for one image; expected \(1, 3\)"):
            check_classifier(Narrow(), net)


class TestGaussianTheory:
    r"""Guidance of Gaussian images pushes along the mean of the class, and the flow damps that to a known extent.

    A push at sigma reaches sigma = 0 shrunk by sqrt(S / (S + sigma^2)), so that the pulse [a, b] displaces the sample
    by w m sqrt(S) ((S + a^2)^(-1/2) - (S + b^2)^(-1/2)).
    """

    def gain(self, low, high):
        return 0.5 * 3.0 * ((1.0 + low**2) ** -0.5 - (1.0 + high**2) ** -0.5)

    def test_the_critical_pulse_is_a_point_of_the_curve(self, dataset):
        (at,) = np.flatnonzero(dataset["position_is_critical"])
        found = dataset["gain_overall"].sel(condition="critical")
        np.testing.assert_allclose(dataset["scan_gain"].isel(position=at), found, rtol=1e-12)
        np.testing.assert_allclose(found.sel(metric="logit"), self.gain(0.6, 1.8), rtol=0.1)

    def test_the_dose_response_curve_is_the_theorys(self, dataset):
        found = dataset["scan_gain"].sel(metric="logit").to_numpy()
        # Guided evaluations stand for an interval that ends half a step beyond the last levels.
        low, high = dataset["position_low"].to_numpy(), dataset["position_high"].to_numpy()
        ratio = (high / low) ** (0.5 / (dataset["position_evaluations"].to_numpy() / 2 - 1))
        expected = self.gain(low / ratio, high * ratio)
        np.testing.assert_allclose(found, expected, atol=0.03 * expected.max())
        assert expected.min() < 0.05 * expected.max()

    def test_the_effect_per_dose_peaks_at_the_root_of_two(self, dataset):
        # d gain / d log sigma = w m sigma^2 sqrt(S) (S + sigma^2)^(-3/2) is largest at sigma^2 = 2 S.
        found = (dataset["scan_gain"].sel(metric="logit") / dataset["position_dose"]).to_numpy()
        sigma = dataset["position_sigma"].to_numpy()
        np.testing.assert_allclose(found, 3.0 * sigma**2 * (1.0 + sigma**2) ** -1.5, atol=0.1)
        near = sigma[np.abs(np.log(sigma / np.sqrt(2.0))) < 0.5]
        assert sigma[found.argmax()] in near

    def test_shared_noise_leaves_no_spread(self, dataset):
        # The flow is linear: what a pulse adds does not depend on the noise.
        at = dataset.sel(metric="logit", condition="critical")
        np.testing.assert_allclose(at["gain_high"], at["gain_low"], atol=1e-4)
        assert float(dataset["score"].sel(metric="logit", condition="unguided").std("trial").min()) > 0.3

    def test_class_information_is_that_of_the_means(self, dataset):
        """E|D_c - D_u|^2 / sigma^2 = 9 sigma^2 / (1 + sigma^2)^2 for means of norm 3 and a guide of mean zero."""
        sigma = dataset["kick_sigma"].to_numpy()
        expected = np.log(2.0) * 9.0 * sigma**2 / (1.0 + sigma**2) ** 2
        np.testing.assert_allclose(dataset["class_information"], expected, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(dataset["class_information_high"], expected, rtol=1e-3, atol=1e-5)
        assert float(dataset["information_sigma"]) == sigma[expected.argmax()]
        assert float(dataset["information_correlation"].sel(metric="logit")) > 0.9

    def test_bands_add_up(self, dataset):
        gains = dataset["gain_mean"].sel(metric="logit")
        low, high = (gains.sel(condition=f"critical, {band} band") for band in ("low", "high"))
        np.testing.assert_allclose(low + high, gains.sel(condition="critical"), rtol=1e-3)

    def test_says_so(self, dataset):
        text = "\n".join(verdict(dataset))
        assert "The critical pulse beats the paper's random pulses, " in text
        assert "of which guide no evaluation" in text
        assert "rank " in text


def synthetic(effect, classes=10, trials=40, seed=0):
    """Scores (metric, class, trial) of two conditions over shared noise, the first higher by ``effect`` (classes,)."""
    rng = np.random.default_rng(seed)
    noise = 3.0 * rng.standard_normal((3, classes, trials))
    shift = np.broadcast_to(effect, (classes,))[:, None]
    return noise + shift + 0.5 * rng.standard_normal(noise.shape), noise


class TestDifferences:
    def test_finds_a_known_effect_through_larger_noise(self):
        effect = np.where(np.arange(10) < 6, 1.0, 0.0)
        found = difference(*synthetic(effect))
        np.testing.assert_allclose(found.mean, np.tile(effect, (3, 1)), atol=0.35)
        assert (found.p_holm[:, :6] < 0.05).all()
        assert (found.p_holm >= found.p_value).all()
        assert ((found.low < found.mean) & (found.mean < found.high)).all()
        np.testing.assert_allclose(found.overall, found.mean.mean(axis=1))
        assert ((found.overall_low > 0.0) & (found.overall_p < 0.05)).all()

    def test_finds_none_where_there_is_none(self):
        rejected = [(difference(*synthetic(0.0, trials=12, seed=seed)).p_holm < 0.05).any(axis=1) for seed in range(12)]
        # Of 36 families of ten tests, 5 per cent may have a false rejection: 6 is beyond the 99th percentile.
        assert np.sum(rejected) <= 6

    def test_one_class_or_one_trial_is_no_error(self):
        assert difference(*synthetic(1.0, classes=1)).overall_low.shape == (3,)
        single = difference(*synthetic(1.0, trials=1))
        assert np.isnan(single.low).all()
        assert (single.p_value == 1.0).all()

    def test_response_finds_the_best_position_and_how_sure_that_is(self):
        rng = np.random.default_rng(1)
        unguided = rng.standard_normal((3, 6, 30))
        peak = np.array([0.0, 0.5, 2.0, 1.95, 0.1])
        scan = unguided[:, None] + peak[:, None, None] + 0.3 * rng.standard_normal((3, 5, 6, 30))
        curve = response(scan, unguided)
        np.testing.assert_allclose(curve.gain, np.tile(peak, (3, 1)), atol=0.1)
        assert set(np.unique(curve.resampled_best)) == {2, 3}
        assert ((curve.low < curve.gain) & (curve.gain < curve.high)).all()


class TestVerdict:
    def changed(self, dataset, name, low, high):
        """The same result with another interval of critical minus a control."""
        there = {"metric": "logit", "condition": name}
        found = dataset.copy(deep=True)
        for end, value in (("_low", low), ("_high", high), ("", 0.5 * (low + high))):
            found[f"advantage_overall{end}"].loc[there] = value
        return found

    def test_fair_controls_decide(self, dataset):
        lost = self.changed(self.changed(dataset, "step-matched", 0.1, 0.2), "log-uniform", -0.1, 0.3)
        lines = verdict(lost)
        assert any(line.startswith("The critical pulse cannot be told from log-uniform pulses") for line in lines)
        plain = "The critical pulse does not beat the fair controls (step-matched, log-uniform)."
        assert f"{plain} It beats only step-matched." in lines
        worse = verdict(self.changed(lost, "step-matched", -0.3, -0.1))
        assert any(line.startswith("The critical pulse is worse than step-matched pulses") for line in worse)
        assert plain in worse
        won = verdict(self.changed(lost, "log-uniform", 0.1, 0.3))
        assert "The critical pulse beats the fair controls (step-matched, log-uniform)." in won

    def test_what_is_the_critical_pulse_itself_is_no_control(self, dataset):
        same = self.changed(dataset, "step-matched", 0.0, 0.0)
        for name in ("pulse_sigma", "guided_evaluations"):
            same[name].loc[{"condition": "step-matched"}] = same[name].sel(condition="critical")
        lines = verdict(same)
        assert lines[1].startswith("The step-matched pulses are the critical pulse itself")
        assert any(line.endswith("the fair control (log-uniform).") for line in lines)
        alone = verdict(dataset.isel(position=[0]))
        assert (
            "The noise levels have one position for such a pulse: nothing is said of where a pulse acts most." in alone
        )

    def test_the_scan_decides_where_a_pulse_acts_most(self, dataset):
        there = dataset.assign_attrs(critical_sigma=float(dataset["best_sigma"].sel(metric="logit")))
        assert "The critical noise level agrees with the position at which a pulse acts most." in verdict(there)
        away = dataset.assign_attrs(critical_sigma=0.01)
        assert "The critical noise level is not where a pulse acts most, which is at larger sigma." in verdict(away)


class TestCriticalLevels:
    @pytest.fixture
    def analysis(self):
        sigma = np.geomspace(80.0, 0.01, 40)
        growing = 4.0 / (1.0 + (sigma / 3.0) ** 2)
        lengths = growing * np.array([0.9, 1.0, 1.1])[:, None]
        attributes = {"sigma_c": 0.02, "sigma_c_low": 0.01, "sigma_c_high": 0.05, "sigma_c_found": 1.0}
        attributes |= {"sigma_first": np.nan, "sigma_first_low": np.nan, "sigma_first_high": np.nan}
        return xr.Dataset(
            {"xi_x": (("trajectory", "sigma"), lengths)}, {"sigma": sigma}, attributes | {"sigma_first_found": 0.0}
        )

    def test_are_where_the_analysis_has_them(self, analysis):
        found = critical_attributes(analysis, "xi-eq")
        assert (found["sigma_c"], found["sigma_c_low"], found["sigma_xi_eq_high"]) == (0.02, 0.01, 0.05)
        # 4 / (1 + (sigma / 3)^2) is steepest in log sigma at 3.
        assert found["sigma_xi_x"] == pytest.approx(3.0, rel=0.2)
        by_growth = critical_attributes(analysis, "xi-x")
        assert by_growth["sigma_c"] == found["sigma_xi_x"]
        assert by_growth["sigma_xi_eq"] == 0.02
        assert critical_attributes(analysis, 1.5)["sigma_c"] == 1.5

    def test_may_be_missing(self, analysis):
        with pytest.raises(InvalidInputError, match="no critical noise level by xi-eq-first; expected --sigma-c"):
            critical_attributes(analysis, "xi-eq-first")
        with pytest.raises(InvalidInputError, match="critical is 'guess'; expected one of xi-eq, xi-eq-first, xi-x"):
            critical_attributes(analysis, "guess")

    def test_are_compared_with_the_curve(self, dataset):
        marked = dataset.assign_attrs(sigma_xi_eq=0.02, sigma_xi_eq_first=np.nan, sigma_xi_x=1.2)
        lines = [line for line in verdict(marked) if line.startswith("At the ")]
        assert [line.split(",")[0] for line in lines] == ["At the largest xi_eq", "At the fastest growth of xi_x"]
        drawn = draw_dose_response(marked)
        texts = [text.get_text() for text in drawn.legends[0].get_texts()]
        assert r"$\sigma_c$, fastest growth of $\xi_x$ = 1.2" in texts
        assert r"largest $\xi_{\mathrm{eq}}$ = 0.02" in texts


class TestClassInformation:
    SIGMA = np.geomspace(8.0, 0.125, 7)

    def found(self, gain, sigma=SIGMA):
        rng = np.random.default_rng(0)
        size = np.exp(-np.square(np.log(sigma)))[:, None, None] * rng.uniform(0.9, 1.1, (len(sigma), 4, 6))
        return class_information(size * sigma[:, None, None], 10, sigma, gain(size), sigma), size

    def test_correlates_with_what_follows_it(self):
        found, size = self.found(lambda size: np.stack([3.0 * size**2, 1.0 - size**2]))
        np.testing.assert_allclose(found.rate, np.log(2.0) * 10 * np.square(size).mean(axis=(1, 2)))
        np.testing.assert_allclose(found.correlation, [1.0, -1.0])
        np.testing.assert_allclose(found.correlation_low, [1.0, -1.0])
        assert found.largest == pytest.approx(1.0)

    def test_interpolates_the_gain_in_log_sigma(self):
        at = np.array([16.0, 1.0, 0.0625])
        gain = np.broadcast_to(np.log(at)[None, :, None, None], (1, 3, 4, 6))
        size = np.sqrt(3.0 + np.log(self.SIGMA))[:, None, None] * np.ones((7, 4, 6)) * self.SIGMA[:, None, None]
        np.testing.assert_allclose(class_information(size, 10, self.SIGMA, gain, at).correlation, 1.0)

    def test_of_two_levels_is_none(self):
        found, _ = self.found(lambda size: size[None], self.SIGMA[:2])
        assert np.isnan(found.correlation).all()


class TestFigures:
    @pytest.mark.slow
    def test_for_slides_as_vectors(self, dataset, tmp_path):
        with figure_style("slides"):
            drawn = fp.plot(dataset)
            for stem, figure in drawn.items():
                save_figure(figure, tmp_path / f"{stem}.svg")
                # Letters are letters, of the size of a slide's.
                assert re.search(
                    r"<text [^>]*font(-size)?: 14px", (tmp_path / f"{stem}.svg").read_text(encoding="utf-8")
                )
        assert {"figure4", "conditions", "dose_response"} <= drawn.keys()

    def test_figure_4(self, dataset):
        figure = draw_pulse_figure(dataset, "title")
        strips, panels = figure.axes[:-2], figure.axes[-2:]
        assert len(strips) == 4 * dataset.sizes["strip_sigma"]
        images = [axes.get_images()[0].get_array() for axes in strips]
        gains = dataset["score"].sel(metric="logit").isel(trial=0)
        best = int(np.argmax(gains.sel(condition="critical").to_numpy() - gains.sel(condition="unguided").to_numpy()))
        np.testing.assert_array_equal(images[0], dataset["strip"].to_numpy()[0, best, 0, 0])
        for axes, metric in zip(panels, ("logit", "probability"), strict=True):
            assert [label.get_text() for label in axes.get_xticklabels()] == ["class 0", "class 1", "class 2", "all"]
            shown = [line.get_ydata()[0] for line in axes.get_lines() if len(line.get_ydata()) == 1]
            expected = dataset["advantage_mean"].sel(metric=metric, condition=["random", "step-matched", "log-uniform"])
            assert set(np.round(expected.to_numpy().ravel(), 9)) <= set(np.round(shown, 9))

    def test_dose_response(self, dataset):
        figure = draw_dose_response(dataset.assign_attrs(sigma_c_low=1.0, sigma_c_high=2.0))
        *panels, information = figure.axes
        np.testing.assert_array_equal(information.get_lines()[0].get_ydata(), dataset["class_information"])
        for axes, metric in zip(panels, ("logit", "probability"), strict=True):
            assert axes.get_xscale() == "log"
            assert axes.get_xlim()[0] > axes.get_xlim()[1]
            drawn = [np.asarray(line.get_ydata()) for line in axes.get_lines()]
            curve = dataset["scan_gain"].sel(metric=metric).to_numpy()
            assert any(line.shape == curve.shape and np.allclose(line, curve) for line in drawn)
            assert any(np.allclose(line.get_xdata(), 1.2) for line in axes.get_lines())

    def test_condition_gains(self, dataset):
        figure = draw_condition_gains(dataset)
        names = [label.get_text().rsplit(" (", 1)[0] for label in figure.axes[0].get_yticklabels()]
        assert names == [name for name in dataset["condition"].to_numpy() if name != "unguided"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "net.safetensors"
    net = random_network(img_resolution=32, label_dim=10, channel_mult=[1, 1, 1], attn_resolutions=[])
    save_network(path, net, {})
    return path


@pytest.fixture(scope="module")
def measured(weights):
    """An analysis of one run of that network."""
    return analyze(load(weights), [1], 1, steps=4, shells=range(4), snapshots=0)


@pytest.fixture(scope="module")
def three_classes(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "three.safetensors"
    save_network(path, random_network(), {})
    return path


def invoke(*words):
    result = runner.invoke(app, ["pulse", *(str(word) for word in words), "--quiet"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


FEW = ("--classes", "1,7", "--trials", 2, "--steps", 8, "--scan-step", 2)


def few_classes(analysis, **attributes):
    """An analysis as if of the classes and steps in FEW."""
    record = json.loads(analysis.attrs["provenance"])
    record["run"] |= {"classes": [1, 7], "steps": 8}
    return analysis.assign_attrs(provenance=json.dumps(record), **attributes)


class TestCommand:
    def test_writes_table_and_data_from_which_figures_are_drawn(self, weights, tmp_path, undrawn):
        result = invoke("--weights", weights, *FEW, "--sigma-c", 1.5, "--out", tmp_path)
        found = fp.load(tmp_path / "result.nc")
        assert found["class_name"].to_numpy().tolist() == ["Trouser", "Sneaker"]
        run = json.loads(found.attrs["provenance"])["run"]
        assert (run["sigma_c"], run["half_width"], run["guide"]) == (1.5, 0.75, "zero-label")
        assert run["classifier"]["test_accuracy"] > 0.9
        for line in ("evaluations still to be made", "critical minus …, logit", "pulse at sigma", *verdict(found)):
            assert line in result.output
        undrawn.undo()
        plot(tmp_path / "result.nc")
        for name in ("figure4.png", "conditions.png", "dose_response.png"):
            assert imread(tmp_path / name).std() > 0.05

    def test_stands_beside_the_null_where_the_images_are_and_says_where_they_are_not(
        self, tmp_path, undrawn, monkeypatch
    ):
        monkeypatch.setenv("FASTPATCH_DATA", str(tmp_path))
        few = (*FEW, "--trials", 1, "--controls", "random", "--sigma-c", 1.5, "--out", tmp_path / "out")
        result = invoke(*few)
        assert "no Gaussian null stands beside the network, because " in result.stderr
        assert "Gaussian null" not in result.output.replace("no Gaussian null", "")
        assert "no Gaussian null" not in invoke(*few, "--no-null").output

    @pytest.mark.slow
    @pytest.mark.skipif(not FASHION.is_dir(), reason=f"{FASHION} is not there")
    def test_runs_the_null_of_the_images(self, tmp_path, undrawn):
        few = (*FEW, "--trials", 1, "--controls", "scan,kicks", "--sigma-c", 1.5, "--out", tmp_path)
        result = invoke(*few, "--data", FASHION)
        found = fp.load(tmp_path / "result.nc")
        assert found["null_scan_gain"].shape == found["scan_gain"].shape
        assert "Of the Gaussian null, most class information" in result.output
        assert f"  {'Gaussian null':<34}{0:14d}" in invoke(*few, "--data", FASHION).output

    def test_takes_sigma_c_from_an_analysis_and_measures_it_only_once(self, weights, measured, tmp_path, undrawn):
        fp.save(measured, tmp_path / "analysis.nc")
        with pytest.raises(
            InvalidInputError, match=r"classes \[1\] and 4 steps; expected \[1, 7\] and 8, another --out"
        ):
            invoke("--weights", weights, *FEW, "--controls", "random", "--out", tmp_path)
        known = few_classes(measured, sigma_c=2.0, sigma_c_low=1.0, sigma_c_high=3.0, sigma_first=60.0)
        fp.save(known, tmp_path / "analysis.nc")
        few = ("--weights", weights, *FEW, "--controls", "random", "--out", tmp_path)
        result = invoke(*few)
        assert "measuring" not in result.output
        attributes = fp.load(tmp_path / "result.nc").attrs
        assert [attributes[name] for name in ("sigma_c", "sigma_c_low", "sigma_xi_eq_first")] == [2.0, 1.0, 60.0]
        again = invoke(*few, "--analysis", tmp_path / "analysis.nc")
        assert f"{'evaluations still to be made':<36}{0:14d}" in again.output
        fp.save(measured.assign_attrs(sigma_c=np.nan), tmp_path / "none.nc")
        with pytest.raises(InvalidInputError, match="the analysis has no critical noise level by xi-eq; expected"):
            invoke(*few, "--analysis", tmp_path / "none.nc")
        with pytest.raises(InvalidInputError, match=r"another experiment, with .*sigma_c 2\.0 instead of 60\.0"):
            invoke(*few, "--analysis", tmp_path / "analysis.nc", "--critical", "xi-eq-first")
        # The analysis is then there to be shown.
        invoke(*few, "--analysis", tmp_path / "none.nc", "--sigma-c", 2.0)
        assert fp.load(tmp_path / "result.nc").attrs["sigma_c"] == 2.0
        with pytest.raises(InvalidInputError, match=r"result\.nc is no analysis of this network"):
            invoke(*few, "--analysis", tmp_path / "result.nc")
        other = random_network(1, img_resolution=32, label_dim=10, channel_mult=[1], attn_resolutions=[])
        save_network(tmp_path / "other.safetensors", other, {})
        with pytest.raises(InvalidInputError, match=r"analysis\.nc is no analysis of this network"):
            invoke("--weights", tmp_path / "other.safetensors", *FEW, "--out", tmp_path)

    def test_measures_sigma_c_where_it_is_not_given(self, weights, measured, tmp_path, undrawn, monkeypatch):
        # Not the attribute of the package: tests that hide packages may have left another module there.
        neural = import_module("fastpatch.neural")

        def found(net, classes, trajectories, **options):
            assert (classes, options["steps"]) == ([1, 7], 8)
            return few_classes(measured, sigma_c=1.5)

        monkeypatch.setattr(neural, "analyze", found)
        result = invoke("--weights", weights, *FEW, "--controls", "random", "--out", tmp_path)
        assert "measuring the critical noise level" in result.output
        assert fp.load(tmp_path / "analysis.nc").attrs["sigma_c"] == 1.5

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--sigma-c", 200, "--width", 1], "the pulse acts at noise levels from 199 to 201; expected some of"),
            (["--sigma-c", 1.5, "--width", -1], "half_width is -1.0; expected a positive noise level"),
            (["--width", "nan"], "half_width is nan; expected a finite number"),
            (["--classes", "10"], "classes holds '10'; expected indices from 0 to 9"),
            (["--controls", "placebo"], "controls hold 'placebo'; expected some of random"),
            (["--trials", 0], "trials is 0; expected at least 1"),
            (["--classifier", "/nowhere"], "/nowhere"),
            (["--guide", "/nowhere"], "/nowhere"),
            (["--analysis", "/nowhere.nc"], "/nowhere.nc is not a file; expected a result written by fastpatch"),
        ],
    )
    def test_user_mistakes_are_one_sentence(self, weights, tmp_path, arguments, message):
        with pytest.raises(FastpatchError, match=message):
            invoke("--weights", weights, "--out", tmp_path, *arguments)
        assert not (tmp_path / "samples").exists()

    def test_a_classifier_of_other_classes(self, three_classes, tmp_path):
        with pytest.raises(InvalidInputError, match=r"the classifier has 10 labels .* but the network has 3 classes"):
            invoke("--weights", three_classes, "--out", tmp_path)

    def test_a_guide_of_other_images(self, weights, three_classes, tmp_path):
        with pytest.raises(InvalidInputError, match="the guide is for images 1x8x8; expected those of the network"):
            invoke("--weights", weights, "--guide", three_classes, "--out", tmp_path)

    def test_without_torch_says_what_to_install(self, monkeypatch):
        for name in [name for name in sys.modules if name.startswith("fastpatch.neural")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "torch", None)
        with pytest.raises(
            FastpatchError, match=r"needs torch, which is not installed; expected `pip install .fastpatch"
        ):
            invoke()


@pytest.fixture
def undrawn(monkeypatch):
    """For tests of other things than figures, which take longest."""
    from fastpatch.cli import experiment as published

    monkeypatch.setattr(published, "draw_figures", lambda dataset, directory, suffix="png", null=True: [])
    return monkeypatch


def test_samples_that_are_missing_are_named(tmp_path):
    made = experiment(tmp_path, gaussian_network(), controls=("random",))
    with pytest.raises(FastpatchError, match=r"unguided-0000\.npz is not readable"):
        made.evaluate(MatchedFilter())
