"""Models made of images: co-located patches, broken boundaries, sizes that change; held to sums written out."""

import numpy as np
import pytest
from image_cases import blobs

import fastpatch as fp
from fastpatch.analysis import fourier_modes
from fastpatch.errors import DtypeError, InvalidInputError
from fastpatch.models import ColocatedPatchModel, PaddedPatchModel, TimedModel

SHAPE = (9, 8)


def images():
    return blobs(40, side=9)[:, :, :8]


def posterior(patches, centers, y, t):
    alpha, sigma2 = np.exp(-t / 2), -np.expm1(-t)
    logits = -((y - alpha * patches) ** 2).sum(axis=1) / (2 * sigma2)
    weights = np.exp(logits - logits.max())
    return weights @ centers / weights.sum()


def window(field, i, j, size, mode):
    """The neighbourhood and which of its pixels lie within the field, flat."""
    radius = size // 2
    pad = {"mode": "wrap"} if mode == "periodic" else {}
    values = np.pad(field, radius, **pad)[i : i + size, j : j + size].ravel()
    inside = np.pad(np.ones(field.shape, dtype=bool), radius, **pad)[i : i + size, j : j + size].ravel()
    return values, inside


@pytest.mark.parametrize("values", ["grey", "signs"])
@pytest.mark.parametrize("boundary", ["padded", "periodic"])
@pytest.mark.parametrize("t", [1e-3, 0.4, 3.0])
def test_colocated_patches(values, boundary, t):
    factor = np.random.default_rng(0).uniform(0.5, 1.0, size=(40, *SHAPE)) if values == "grey" else 1.0
    grey = images() * factor
    x = np.random.default_rng(1).normal(size=(2, *SHAPE))
    model = ColocatedPatchModel(grey, 5, boundary)
    found = model.posterior_mean(x, t)
    held = grey.astype(np.float32).astype(np.float64)
    for n, i, j in [(0, 0, 0), (1, 4, 7), (0, 3, 3), (1, 8, 1)]:
        patches = np.array([window(image, i, j, 5, boundary)[0] for image in held])
        expected = posterior(patches, held[:, i, j], window(x[n], i, j, 5, boundary)[0], t)
        assert found[n, i, j] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("t", [1e-3, 0.4, 3.0])
def test_broken_boundaries(size, t):
    training, shape = images(), (8, 11)
    x = np.random.default_rng(2).normal(size=(2, *shape))
    found = PaddedPatchModel(training, size).posterior_mean(x, t)
    for n, i, j in [(0, 0, 0), (1, 1, 10), (0, 4, 5), (1, 7, 2), (0, 6, 0)]:
        y, inside = window(x[n], i, j, size, "padded")
        patches = [
            (found_patch[inside], image[a, b])
            for image in training
            for a in range(9)
            for b in range(8)
            for found_patch, there in [window(image, a, b, size, "padded")]
            if (there == inside).all()
        ]
        expected = posterior(np.array([p for p, _ in patches]), np.array([c for _, c in patches]), y[inside], t)
        assert found[n, i, j] == pytest.approx(expected, abs=1e-10)


@pytest.fixture(params=["colocated", "periodic", "grey", "padded", "timed"])
def model(request):
    training = images()
    if request.param == "timed":
        sizes = [fp.PatchModel(fp.PatchDictionary.from_images(training, size)) for size in (3, 5)]
        return TimedModel(sizes, [0.5])
    if request.param == "padded":
        return PaddedPatchModel(training, 5)
    if request.param == "grey":
        training = training * np.random.default_rng(0).uniform(0.5, 1.0, size=training.shape)
    return ColocatedPatchModel(training, 5, "periodic" if request.param == "periodic" else "padded")


def test_derivatives_are_those_of_the_drift(model):
    x, t, step = np.random.default_rng(4).normal(size=SHAPE), 0.8, 1e-5
    found = model.mode_derivatives(x, t, shells=(0, 1, 3))
    modes = fourier_modes(x.shape, (0, 1, 3)).reshape(-1, *x.shape)
    for v, exact in zip(modes, found.ravel(), strict=True):
        difference = np.vdot(v, model.drift(x + step * v, t) - model.drift(x - step * v, t)) / (2 * step)
        assert exact == pytest.approx(difference, rel=1e-7, abs=1e-8)
    spectrum = model.spectrum(x, t)
    np.testing.assert_allclose(spectrum[[0, 1, 3], 0], found[:, 0], rtol=1e-11, atol=1e-11)


def test_they_run(model):
    found = fp.simulate(model, SHAPE, 2, [2.0, 1.0, 0.3, 0.1], seed=1)
    assert np.isfinite(found.final).all()
    assert np.isfinite(found.mode_derivative).all()


def test_models_take_turns():
    small, large = (fp.PatchModel(fp.PatchDictionary.from_images(images(), size)) for size in (3, 5))
    model, x = TimedModel([small, large], [0.5]), np.random.default_rng(0).normal(size=SHAPE)
    for t, one in ((0.1, small), (0.5, small), (0.51, large), (9.0, large)):
        np.testing.assert_array_equal(model.score(x, t), one.score(x, t))


class Zero(fp.PatchModel):
    def posterior_mean(self, x, t):
        return np.zeros_like(x)


class Tripled(fp.PatchModel):
    def drift(self, x, t):
        return 3.0 * super().drift(x, t)


@pytest.mark.parametrize("kind", [Zero, Tripled])
def test_what_the_models_override_is_what_runs(kind):
    plain = fp.PatchModel(fp.PatchDictionary.from_images(images(), 3))
    one, x = kind(plain.dictionary), np.random.default_rng(0).normal(size=SHAPE)
    model = TimedModel([one, plain], [1.0])
    for t, acting in ((0.5, one), (2.0, plain)):
        for name in ("posterior_mean", "score", "drift", "mode_derivatives"):
            np.testing.assert_array_equal(getattr(model, name)(x, t), getattr(acting, name)(x, t))
    with pytest.raises(InvalidInputError, match=f"{kind.__name__} overrides"):
        model.spectrum(x, 0.5)
    assert model.describe() != TimedModel([plain, plain], [1.0]).describe()


def test_a_subclass_of_turns_overrides_them_all():
    class Flat(TimedModel):
        def posterior_mean(self, x, t):
            return np.zeros_like(x)

    plain = fp.PatchModel(fp.PatchDictionary.from_images(images(), 3))
    model, x, t = Flat([plain], []), np.random.default_rng(0).normal(size=SHAPE), 0.5
    sigma2 = model.schedule.sigma2(t)
    np.testing.assert_allclose(model.score(x, t), -x / sigma2)
    np.testing.assert_allclose(model.drift(x, t), (-0.5 + 1.0 / sigma2) * x)
    np.testing.assert_allclose(model.mode_derivatives(x, t), -0.5 + 1.0 / sigma2, rtol=1e-6)
    with pytest.raises(InvalidInputError, match="Flat knows no spectrum"):
        model.spectrum(x, t)


def test_scores_take_turns_too():
    white, shrunk = fp.from_score(lambda x, t: -x), fp.from_score(lambda x, t: -2.0 * x)
    model, x = TimedModel([white, shrunk], [1.0]), np.random.default_rng(0).normal(size=SHAPE)
    np.testing.assert_allclose(model.drift(x, 0.5), 0.5 * x)
    np.testing.assert_allclose(model.drift(x, 2.0), 1.5 * x)
    assert np.isfinite(fp.simulate(model, SHAPE, 2, [2.0, 1.0, 0.3], seed=1).mode_derivative).all()
    with pytest.raises(InvalidInputError, match="ScoreModel knows no spectrum"):
        model.spectrum(x, 0.5)


def test_what_does_not_fit():
    grey = np.zeros((3, 8, 8))
    with pytest.raises(InvalidInputError, match="not all \\+-1"):
        PaddedPatchModel(grey)
    with pytest.raises(InvalidInputError, match="size is 9"):
        PaddedPatchModel(np.ones((1, 12, 12)), 9)
    with pytest.raises(InvalidInputError, match="expected that of the images, 8x8"):
        ColocatedPatchModel(grey).score(np.zeros((9, 9)), 1.0)
    with pytest.raises(InvalidInputError, match="interior"):
        ColocatedPatchModel(grey, boundary="interior")
    one = fp.PatchModel(fp.PatchDictionary.random())
    with pytest.raises(InvalidInputError, match="one time fewer"):
        TimedModel([one, one], [1.0, 2.0])
    with pytest.raises(InvalidInputError, match="increasing"):
        TimedModel([one, one, one], [2.0, 1.0])
    # Two rates of one name are two schedules.
    slow, fast = (fp.PatchModel(one.dictionary, fp.VPSchedule(lambda t, beta=beta: beta)) for beta in (1.0, 5.0))
    with pytest.raises(InvalidInputError, match=r"models\[1\] has the schedule"):
        TimedModel([slow, fast], [1.0])
    with pytest.raises(DtypeError, match=r"models\[1\] is a int"):
        TimedModel([one, 3], [1.0])
