"""Models from outside: a posterior mean is enough, what is overridden runs, and identities tell models apart."""

import functools
import pickle
import threading

import numpy as np
import pytest

import fastpatch as fp
from fastpatch.errors import InvalidInputError
from fastpatch.models import model_identity
from fastpatch.runs.engines.choice import has_kernels
from fastpatch.runs.setup import Setup

TIMES = fp.log_time_grid(3.0, 0.2, 8)
PATCH = fp.PatchModel(fp.PatchDictionary.random(4, size=3))


class White(fp.PosteriorMeanModel):
    """Data that are white noise: m = alpha x, score -x, at every t."""

    def posterior_mean(self, x, t):
        return self.schedule.alpha(t) * x


class WhiteExactly(White):
    def mean_response(self, x, t, v):
        return np.broadcast_to(self.schedule.alpha(t) * v, x.shape)


@pytest.mark.parametrize("kind", [White, WhiteExactly])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_posterior_mean_is_enough(kind, dtype):
    x = np.random.default_rng(0).standard_normal((2, 6, 8)).astype(dtype)
    model, exact = kind(), fp.GaussianModel(np.ones((6, 5)))
    for name in ("score", "drift", "mode_derivatives"):
        found = getattr(model, name)(x, 0.8)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, getattr(exact, name)(x, 0.8), rtol=0, atol=2e-6)
    run = fp.simulate(model, (6, 8), 2, TIMES, dtype="float64", solver="ancestral")
    expected = fp.simulate(exact, (6, 8), 2, TIMES, dtype="float64", solver="ancestral")
    np.testing.assert_allclose(run["final"], expected["final"], atol=1e-12)
    np.testing.assert_allclose(run["mode_derivative"], expected["mode_derivative"], atol=1e-6)


def test_from_score():
    model = fp.from_score(lambda x, t: -x)
    x = np.random.default_rng(0).standard_normal((6, 8))
    np.testing.assert_allclose(model.posterior_mean(x, 0.8), White().posterior_mean(x, 0.8), atol=1e-12)
    np.testing.assert_allclose(model.mode_derivatives(x, 0.8), np.full((7, 2), 0.5), atol=1e-9)
    assert isinstance(model, fp.Model)


def corrupting(x, t):
    x *= 0.5
    return x


def test_a_score_cannot_change_the_states_it_is_lent():
    with pytest.raises(ValueError, match="read-only"):
        fp.simulate(fp.from_score(corrupting), (6, 8), 1, TIMES)


class Drifting(fp.PatchModel):
    def drift(self, x, t):
        return 3.0 * super().drift(x, t)


class Tripled(fp.EmpiricalModel):
    def drift(self, x, t):
        return 3.0 * super().drift(x, t)


class Shifted(fp.PatchModel):
    def posterior_mean(self, x, t):
        return super().posterior_mean(x, t) + 1.0


@pytest.mark.parametrize(
    "model", [Drifting(PATCH.dictionary), Tripled(fp.stripe_prototypes(8)), Shifted(PATCH.dictionary)], ids=repr
)
def test_what_a_subclass_overrides_is_what_runs(model):
    x = np.random.default_rng(1).standard_normal((1, 8, 8))
    t, dt = 1.3, 0.1
    eps = 1e-5
    v = np.full((8, 8), 1.0 / 8.0)
    lambda_0 = np.sum(v * (model.drift(x + eps * v, t) - model.drift(x - eps * v, t))) / (2 * eps)
    assert model.mode_derivatives(x, t)[0, 0, 0] == pytest.approx(lambda_0, rel=1e-5)
    run = fp.simulate(model, 8, 1, [t, t - dt], dtype="float64", snapshots=2, record_every=1)
    base = type(model).__mro__[1]
    plain = base(model.dictionary) if base is fp.PatchModel else base(fp.stripe_prototypes(8))
    other = fp.simulate(plain, 8, 1, [t, t - dt], dtype="float64", snapshots=2)
    start = run["snapshot"].to_numpy()[:, 0]
    difference = run["final"].to_numpy() - other["final"].to_numpy()
    np.testing.assert_allclose(difference, -dt * (model.drift(start, t) - plain.drift(start, t)), atol=1e-12)


class Zero(fp.PatchModel):
    def posterior_mean(self, x, t):
        return np.zeros_like(x)


@pytest.mark.parametrize("model", [Drifting(PATCH.dictionary), Zero(PATCH.dictionary)], ids=repr)
def test_what_is_known_of_the_base_alone_is_refused(model):
    x = np.random.default_rng(1).standard_normal((8, 8))
    calls = [model.spectrum, model.jacobian, lambda x, t: model.jvp(x, t, x), lambda x, t: model.vjp(x, t, x)]
    for call in calls:
        with pytest.raises(InvalidInputError, match=r"overrides (posterior_mean|drift), and its .* is not known"):
            call(x, 0.5)
    if isinstance(model, Zero):
        with pytest.raises(InvalidInputError, match="its posterior variance is not known"):
            model.posterior_variance(x, 0.5)
    else:
        np.testing.assert_array_equal(model.posterior_variance(x, 0.5), PATCH.posterior_variance(x, 0.5))


class FasterWhite(WhiteExactly):
    def drift(self, x, t):
        return 2.0 * super().drift(x, t)


class ScaledWhite(WhiteExactly):
    def score(self, x, t):
        return 2.0 * super().score(x, t)


class HalfWhite(WhiteExactly):
    def posterior_mean(self, x, t):
        return 0.5 * super().posterior_mean(x, t)


class HalfWhiteExactly(HalfWhite):
    def mean_response(self, x, t, v):
        return 0.5 * super().mean_response(x, t, v)


@pytest.mark.parametrize("kind", [FasterWhite, ScaledWhite, HalfWhite, HalfWhiteExactly])
def test_an_inherited_response_is_not_that_of_another_drift(kind):
    x, t = np.random.default_rng(2).standard_normal((6, 8)), 0.8
    model, v = kind(), np.full((6, 8), 48.0**-0.5)
    # All are linear, so that a difference of any length is exact.
    exact = np.sum(v * (model.drift(x + v, t) - model.drift(x, t)))
    np.testing.assert_allclose(model.mode_derivatives(x, t)[0], exact, rtol=1e-7)


def test_an_instance_has_its_own_posterior_mean():
    x, model = np.zeros((6, 8)), WhiteExactly()
    model.posterior_mean = lambda x, t: np.zeros_like(x)
    expected = -0.5 + 1.0 / model.schedule.sigma2(0.8)
    np.testing.assert_allclose(model.mode_derivatives(x, 0.8), expected, rtol=1e-7)


def test_kernels_bypass_nothing():
    assert has_kernels(Setup.of(PATCH, 8))
    PATCH.score(np.zeros((8, 8)), 1.0)
    assert has_kernels(Setup.of(PATCH, 8))
    assert not has_kernels(Setup.of(Drifting(PATCH.dictionary), 8))
    patched = fp.PatchModel(PATCH.dictionary)
    patched.drift = lambda x, t: 0.0 * x
    assert not has_kernels(Setup.of(patched, 8))


class Named(White):
    def __init__(self, gain):
        self.gain = gain
        self.parameters = {"gain": gain}


class Unnamed(White):
    def __init__(self, gain):
        self.gain = gain


class Unpicklable(White):
    def __init__(self):
        self.lock = threading.Lock()


def test_identity_by_parameters_by_pickle_or_of_this_process():
    for kind in (Named, Unnamed):
        assert model_identity(kind(1.0)) == model_identity(kind(1.0)) != model_identity(kind(2.0))
        assert model_identity(kind(1.0)) == model_identity(pickle.loads(pickle.dumps(kind(1.0))))
    assert model_identity(Named(1.0))["parameters"] == {"gain": 1.0}
    one, other = Unpicklable(), Unpicklable()
    assert model_identity(one) == model_identity(one) != model_identity(other)
    assert model_identity(Drifting(PATCH.dictionary)) != model_identity(PATCH)


def test_resuming_under_another_model_is_refused():
    start = next(fp.states(Unnamed(1.0), 8, 1, TIMES))
    next(fp.states(Unnamed(1.0), 8, 1, TIMES, start=start))
    with pytest.raises(InvalidInputError, match="start belongs to another run"):
        fp.states(Unnamed(2.0), 8, 1, TIMES, start=start)


def scaled(x, t, gain):
    return -gain * x


def test_resuming_under_another_score_of_the_same_name_is_refused(tmp_path):
    for make in (lambda gain: lambda x, t: -gain * x, lambda gain: functools.partial(scaled, gain=gain)):
        file = tmp_path / "run.checkpoint"
        file.unlink(missing_ok=True)
        first = fp.simulate(fp.from_score(make(1.0)), 8, 1, TIMES, checkpoint=file)
        again = fp.simulate(fp.from_score(make(1.0)), 8, 1, TIMES, checkpoint=file)
        np.testing.assert_array_equal(again["final"], first["final"])
        with pytest.raises(InvalidInputError, match="belongs to another run"):
            fp.simulate(fp.from_score(make(2.0)), 8, 1, TIMES, checkpoint=file)
        start = next(fp.states(fp.from_score(make(1.0)), 8, 1, TIMES))
        with pytest.raises(InvalidInputError, match="start belongs to another run"):
            fp.states(fp.from_score(make(2.0)), 8, 1, TIMES, start=start)


def test_an_edited_class_is_another_model():
    def kind(gain):
        class Edited(fp.PosteriorMeanModel):
            def posterior_mean(self, x, t):
                return gain * x

        return Edited

    assert model_identity(kind(0.5)()) == model_identity(kind(0.5)()) != model_identity(kind(0.4)())


class Derived(fp.PatchModel):
    pass


def test_what_a_run_caches_makes_no_other_model(tmp_path):
    model = Derived(PATCH.dictionary)
    first = fp.simulate(model, 8, 1, TIMES, checkpoint=tmp_path / "run.checkpoint")
    again = fp.simulate(model, 8, 1, TIMES, checkpoint=tmp_path / "run.checkpoint")
    np.testing.assert_array_equal(again["final"], first["final"])


def test_a_class_without_posterior_mean_says_so():
    with pytest.raises(NotImplementedError, match="defines no posterior_mean"):
        fp.PosteriorMeanModel().score(np.zeros((4, 4)), 1.0)


def test_a_dictionary_file(tmp_path):
    stripes = np.sign(np.cos(2 * np.pi * np.arange(5) / 5))[:, None] * np.ones(5)
    np.savez(tmp_path / "stripes.npz", patterns=np.stack([stripes, -stripes]))
    loaded = fp.PatchDictionary.load(tmp_path / "stripes.npz")
    np.testing.assert_array_equal(loaded.prior, [0.5, 0.5])
    loaded.save(tmp_path / "again.npz")
    assert fp.PatchDictionary.load(tmp_path / "again.npz") == loaded


@pytest.mark.parametrize("content", [b"", b"not a zip", None])
def test_a_file_that_is_no_dictionary(content, tmp_path):
    path = tmp_path / "patterns.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(fp.errors.ResultFileError, match="expected an npz file with patterns"):
        fp.PatchDictionary.load(path)
