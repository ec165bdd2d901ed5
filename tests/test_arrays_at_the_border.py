"""What arrays mean is not lost where they come in: masks, frozen copies, strict floating point, images, booleans."""

import copy
import pickle

import numpy as np
import pytest

import fastpatch as fp
from fastpatch import analysis, theory
from fastpatch.errors import DtypeError, FastpatchError, InvalidInputError
from fastpatch.validation import plain_array

MASKED_FIELD = np.ma.masked_array(np.ones((2, 6, 6)), np.arange(72).reshape(2, 6, 6) == 9)
MASKED_LINE = np.ma.masked_array([3.0, 2.0, 1.0], [0, 1, 0])


class TestMasks:
    def test_masked_means_missing_where_nan_does(self):
        values = np.ma.masked_array([1.0, 2.0, 3.0, 999.0], [0, 0, 0, 1])
        assert analysis.bootstrap_median(values)[0] == 2.0
        # Also in a list of masked arrays, and for integers.
        assert analysis.bootstrap_median([values[:2], values[2:]], axis=1)[0].tolist() == [1.5, 3.0]
        assert analysis.bootstrap_median(np.ma.masked_array([1, 2, 3, 999], [0, 0, 0, 1]))[0] == 2.0
        times = np.array([4.0, 2.0, 1.0])
        curve = np.ma.masked_array([0.0, 99.0, 2.0], [0, 1, 0])
        expected = analysis.log_time_derivative([0.0, np.nan, 2.0], times)
        np.testing.assert_array_equal(analysis.log_time_derivative(curve, times), expected)
        lam = np.ma.masked_array([[1.0, 1.1, 1.2, 9.9]], [[0, 0, 0, 1]])
        assert np.isnan(analysis.fit_equilibrium_length(lam, 0.1)).all()
        assert np.isnan(analysis.shell_average(np.ma.masked_array([[1.0, 2.0]], [[0, 1]]))).all()

    @pytest.mark.parametrize(
        "call",
        [
            lambda: analysis.correlation_length(MASKED_FIELD),
            lambda: analysis.structure_factor(MASKED_FIELD),
            lambda: analysis.radial_average(MASKED_FIELD),
            lambda: analysis.directional_derivatives(lambda x: x, MASKED_FIELD, np.ones((6, 6)), 1e-3),
            lambda: analysis.finite_difference_step(MASKED_LINE),
            lambda: analysis.log_time_derivative([1.0, 2.0, 3.0], MASKED_LINE),
            lambda: analysis.bootstrap_mean(MASKED_LINE),
            lambda: fp.PatchDictionary(MASKED_FIELD[:, :5, :5]),
            lambda: fp.PatchDictionary(np.ones((3, 1, 1)), MASKED_LINE / 6.0),
            lambda: fp.EmpiricalModel(MASKED_FIELD),
            lambda: fp.EmpiricalModel(np.ones((3, 4, 4)), MASKED_LINE),
            lambda: fp.VPSchedule().alpha(MASKED_LINE),
            lambda: theory.ginzburg_landau(MASKED_LINE, K=2, d=2),
            lambda: fp.PatchModel(fp.PatchDictionary.random()).score(MASKED_FIELD, 1.0),
        ],
    )
    def test_masked_is_refused_elsewhere(self, call):
        with pytest.raises(FastpatchError, match=r"masked at index|hold NaN"):
            call()

    def test_a_mask_without_masked_entries_does_not_matter(self):
        clean = np.ma.masked_array([1.0, 2.0], [0, 0])
        assert type(plain_array(clean, "x")) is np.ndarray


def objects():
    dictionary = fp.PatchDictionary.random(2, size=3)
    images = np.sign(np.random.default_rng(0).normal(size=(3, 6, 6)))
    return {
        "dictionary": (dictionary, ("patterns", "prior")),
        "dictionary of images": (fp.PatchDictionary.from_images(images, size=3), ("codes", "prior")),
        "empirical": (fp.EmpiricalModel(images), ("prototypes", "weights")),
    }


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize("name", objects())
def test_copies_are_as_frozen_as_the_original(name, copied):
    original, arrays = objects()[name]
    assert [getattr(original, array).flags.writeable for array in arrays] == [False, False]
    twin = copied(original)
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            getattr(twin, array)[0] = 0
        np.testing.assert_array_equal(getattr(twin, array), getattr(original, array))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["patch", "empirical"])
def test_models_compute_under_strict_floating_point(name, dtype):
    x = np.random.default_rng(1).normal(size=(2, 12, 12)).astype(dtype)
    patch = fp.PatchModel(fp.PatchDictionary.random(2, size=3))
    model = patch if name == "patch" else fp.EmpiricalModel(fp.stripe_prototypes(12))
    for t in (1e-3, 0.1, 3.0, 50.0, 800.0, 1e4):
        with np.errstate(all="raise"):
            results = [model.posterior_mean(x, t), model.score(x, t), model.drift(x, t), model.mode_derivatives(x, t)]
            results.append(model.spectrum(x, t))
        assert all(np.isfinite(one).all() for one in results)


def test_observables_compute_under_strict_floating_point():
    times = fp.log_time_grid(steps=60)
    rng = np.random.default_rng(2)
    curves = rng.normal(size=(6, 61)) * 1e-30
    field = 1e-200 * rng.normal(size=(2, 12, 12))
    with np.errstate(all="raise"):
        analysis.correlation_length(field)
        analysis.structure_factor(field)
        analysis.binder_cumulant(1e-200 * rng.normal(size=5))
        analysis.log_time_derivative(curves, times)
        analysis.zero_mode_crossing(times, curves)
        analysis.softest_zero_mode(times, curves)
        analysis.fastest_growth(times, curves)
        analysis.bootstrap_median(curves)
        fp.VPSchedule().alpha([1e-3, 1e4])
        fp.VPSchedule().sigma([1e-3, 1e4])


def test_a_time_at_which_the_score_overflows_is_named():
    x = np.ones((8, 8))
    model = fp.PatchModel(fp.PatchDictionary.random(size=3))
    with (
        np.errstate(all="raise"),
        pytest.raises(InvalidInputError, match="t is 1e-300, at which values leave the range"),
    ):
        model.mode_derivatives(x, 1e-300)
    with pytest.raises(InvalidInputError, match="range of float32; expected a larger t"):
        model.score(2.0 * x.astype(np.float32), 1e-39)
    assert np.isfinite(model.score(x, 1e-30)).all()


@pytest.mark.parametrize("image", [np.array([[0, 255], [255, 0]], np.uint8), np.array([[0.0, 1.0], [0.5, 0.0]])])
def test_an_image_has_no_signs(image):
    for observable in (analysis.correlation_length, analysis.autocorrelation, analysis.domain_wall_density):
        with pytest.raises(InvalidInputError, match=r"none below, so that sign\(x\) is \+1 everywhere"):
            observable(np.stack([image - 1.0 * image.mean(), 1.0 * image]))
    with pytest.raises(InvalidInputError, match="binarize=False"):
        analysis.magnetization(image, binarize=True)
    assert np.isfinite(analysis.correlation_length(image, binarize=False))
    assert np.isfinite(analysis.structure_factor(image)).all()
    # Fields of one sign, and of zeros alone, are what they are.
    assert analysis.correlation_length(np.ones((4, 4))) == analysis.correlation_length(np.zeros((4, 4))) == 1.0


def test_a_word_is_no_boolean():
    for call in (
        lambda: fp.PatchDictionary.random(sign_flips="no"),
        lambda: analysis.correlation_length(np.ones((4, 4)), binarize="no"),
        lambda: analysis.magnetization(np.ones((4, 4)), binarize="no"),
        lambda: analysis.fit_equilibrium_length([1.0, 1.1, 1.2, 1.3], 0.1, clip="no"),
    ):
        with pytest.raises(DtypeError, match="is 'no'; expected True or False"):
            call()
    assert len(fp.PatchDictionary.random(sign_flips=np.False_)) == 10
