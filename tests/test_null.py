"""The null's curves against the model's own methods and sampled fields, and their place in figures."""

import numpy as np
import pytest
import xarray as xr

import fastpatch as fp
from fastpatch import theory
from fastpatch.analysis.figures import draw_dynamics
from fastpatch.errors import DtypeError, InvalidInputError
from fastpatch.models.wiener import WienerModel

DICTIONARY = fp.PatchDictionary.random()
SHAPE = (24, 20)


def test_its_curves_are_those_of_the_gaussian_model():
    times, schedule = fp.log_time_grid(20.0, 0.01, 60), fp.VPSchedule(1.5)
    found = theory.gaussian_null(DICTIONARY, SHAPE, times, schedule)
    model = fp.GaussianModel.from_dictionary(DICTIONARY, SHAPE, schedule)
    run = fp.simulate(model, SHAPE, 40, times, snapshots=0)
    np.testing.assert_allclose(run["mode_derivative"][0], found["mode_derivative"], rtol=1e-6)
    np.testing.assert_allclose(run["xi_eq"][0], found["xi_eq"], rtol=1e-5, equal_nan=True)
    assert found.attrs["critical_time"] == pytest.approx(run.attrs["critical_time"])
    # xi_x of fields of its spectrum, taken from their mean correlation.
    at = -1
    S = model.structure_factor(times[at])
    fields = np.fft.irfft2(np.sqrt(S) * np.fft.rfft2(np.random.default_rng(0).normal(size=(2000, *SHAPE))), s=SHAPE)
    correlation = fp.analysis.radial_correlation(fields).mean(axis=0)
    assert float(found["xi_x"][at]) == pytest.approx(float(fp.analysis.length_from_correlation(correlation)), rel=0.03)


def test_it_is_found_from_a_result_alone_and_drawn_beside_it(small_result):
    null = theory.null_of_result(small_result)
    assert null.sizes["time"] == small_result.sizes["time"]
    expected = theory.gaussian_null(DICTIONARY, (12, 10), small_result["time"].to_numpy())
    np.testing.assert_allclose(null["mode_derivative"], expected["mode_derivative"])
    figure = draw_dynamics(small_result, null=null)
    for axes in figure.axes[:3]:
        (line,) = [line for line in axes.get_lines() if line.get_label() == "Gaussian null"]
        assert len(line.get_xdata()) == small_result.sizes["time"]
    assert not [line for line in draw_dynamics(small_result).axes[0].get_lines() if line.get_label() == "Gaussian null"]
    # A rate that a file does not hold, a result of another model, and one without what is needed.
    times = fp.log_time_grid(5.0, 0.1, 10)
    callable_rate = fp.PatchModel(DICTIONARY, fp.VPSchedule(lambda t: 1.0))
    for model in (callable_rate, fp.EmpiricalModel(fp.stripe_prototypes(12))):
        assert theory.null_of_result(fp.simulate(model, (12, 12), 1, times, snapshots=0)) is None
    assert theory.null_of_result(small_result.isel(time=slice(0, 1))) is None
    assert theory.null_of_result(small_result.isel(shell=slice(0, 2))) is None


def test_a_dictionary_held_as_bits_has_it_too(small_result):
    coded = small_result.drop_vars("pattern").assign(pattern_code=("pattern_index", DICTIONARY.codes.astype(float)))
    xr.testing.assert_equal(theory.null_of_result(coded), theory.null_of_result(small_result))
    assert theory.closure_of_result(coded) == theory.closure_of_result(small_result)
    assert fp.summary(coded).predicted == fp.summary(small_result).predicted
    damaged = coded.assign(pattern_code=coded["pattern_code"] + 0.5)
    assert theory.null_of_result(damaged) is None
    assert fp.summary(damaged).predicted == {}


def test_of_images_that_are_not_stationary_its_zero_mode_turns():
    """A loud part and a silent one: the uniform mode overlaps with an axis of variance 108 and with axes of none."""
    rng = np.random.default_rng(1)
    loud = np.zeros((12, 12))
    loud[:, :9] = 1.0
    images = loud * rng.choice([-1.0, 1.0], (400, 1, 1))
    model = WienerModel(images)
    times = fp.log_time_grid(20.0, 0.01, 400)
    null = theory.gaussian_null(model, (12, 12), times)
    zero_mode = null["mode_derivative"].sel(shell=0).mean("direction").to_numpy()
    # 3/4 of it along the loud axis, 1/4 along silent ones.
    alpha2, sigma2 = np.exp(-times), -np.expm1(-times)
    expected = -0.5 + 0.75 / (sigma2 + alpha2 * model.Omega) + 0.25 / sigma2
    np.testing.assert_allclose(zero_mode, expected, rtol=1e-9)
    assert model.Omega == pytest.approx(108.0, rel=0.01)
    (crossings,) = np.nonzero(np.diff(np.sign(zero_mode)))
    assert len(crossings) == 2
    assert times[crossings[0] + 1] < null.attrs["critical_time"] < times[crossings[0]]
    assert zero_mode.argmin() < len(times) - 1
    assert np.isnan(WienerModel(0.1 * images).critical_time)


@pytest.mark.parametrize("kind", [fp.GaussianModel.from_images, WienerModel])
def test_around_a_mean_image_it_is_that_of_noised_images_and_kept_by_a_result(kind):
    times = fp.log_time_grid(8.0, 0.01, 80)
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:16, :16]
    shape = np.where((y - 8) ** 2 + (x - 8) ** 2 < 25, 1.0, -1.0)
    images = shape + rng.normal(size=(200, 1, 1)) + 0.3 * rng.normal(size=(200, 16, 16))
    model = kind(images)
    run = fp.simulate(model, (16, 16), 300, times, snapshots=0)
    kept = theory.with_null(run, model)
    found = theory.null_of_result(kept)
    np.testing.assert_allclose(run["mode_derivative"][0], found["mode_derivative"], rtol=1e-6)
    # The uniform mode is a principal axis but for chance.
    variance = 256 * images.mean(axis=(1, 2)).var()
    assert found.attrs["critical_time"] == pytest.approx(np.log(variance - 1.0), rel=0.01)
    # Drawn, not integrated: 128 fields and 80 steps leave some per cent. Without its image it is another.
    np.testing.assert_allclose(found["xi_x"][-4:], run["xi_x"].median("trajectory")[-4:], rtol=0.1)
    plain = theory.gaussian_null(fp.GaussianModel.from_images(images, uniform_mean=True), (16, 16), times)
    assert abs(float(plain["xi_x"][-1] / found["xi_x"][-1]) - 1.0) > 0.2

    def drawn(figure):
        return [line for axes in figure.axes[:3] for line in axes.get_lines() if line.get_label() == "Gaussian null"]

    assert len(drawn(fp.plot(kept)["figure3"])) == 3
    assert not drawn(fp.plot(kept, null=False)["figure3"])
    assert not drawn(fp.plot(run)["figure3"])


def test_the_figure_sets_the_closure_beside_the_measured_zero(small_result):
    expected = theory.critical_time("closure", dictionary=DICTIONARY)
    assert theory.closure_of_result(small_result) == expected
    labels = fp.plot(small_result)["figure3"].axes[1].get_legend_handles_labels()[1]
    assert f"$\\lambda_0 = 0$, predicted (closure): $t$ = {expected:.3g}" in labels
    assert any(label.startswith("condition of the score") for label in labels)
    assert theory.closure_of_result(small_result.drop_vars("pattern")) is None
    many = fp.PatchDictionary(np.random.default_rng(0).choice([-1.0, 1.0], (301, 3, 3)))
    assert theory.closure_of_result(fp.simulate(fp.PatchModel(many), (8, 8), 1, [2.0, 1.0], snapshots=0)) is None


def test_bad_input_is_named():
    with pytest.raises(InvalidInputError, match="expected 0, 1, 2 and 3 among them"):
        theory.gaussian_null(DICTIONARY, SHAPE, [2.0, 1.0], shells=[0, 1])
    with pytest.raises(DtypeError, match="expected a PatchDictionary"):
        theory.gaussian_null("x", SHAPE, [2.0, 1.0])


def test_the_score_s_zero_is_sought_before_the_pattern_locks(small_result):
    """After the second zero of lambda_0 a derivative that single sites throw about is no softening."""
    dataset = small_result.copy(deep=True)
    curve = np.full(dataset.sizes["time"], 0.5)
    curve[8:14] = -0.3
    curve[14:] = 5.0
    curve[20] = -40.0
    dataset["mode_derivative"][:] = curve[:, None, None]
    assert np.isnan(fp.summary(dataset).measured["score_crossing"].time)
    curve[10] = -0.6
    dataset["mode_derivative"][:] = curve[:, None, None]
    found = fp.summary(dataset).measured["score_crossing"].time
    assert dataset["time"][10] <= found <= dataset["time"][9]
