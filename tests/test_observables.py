"""Observables of a run: built-in ones by name, a user's own, and what becomes of those that fail."""

import numpy as np
import pytest

import fastpatch as fp
from fastpatch.analysis import domain_wall_density, order_parameter_moments, structure_factor
from fastpatch.errors import BackendUnavailableError, InvalidInputError

MODEL = fp.PatchModel(fp.PatchDictionary.random(4, size=3))
RUN = {"shape": (12, 10), "trajectories": 3, "times": fp.log_time_grid(3.0, 0.1, 12), "seed": 2, "record_every": 4}


def run(observables, model=MODEL, **options):
    return fp.simulate(model, observables=observables, **{**RUN, **options})


def spread(x, t):
    return x.std(axis=(1, 2)) + t


def test_an_observable_from_outside_takes_three_lines():
    found = run(["xi_x", spread])
    assert found["spread"].dims == ("trajectory", "time")
    assert list(found.data_vars)[:2] == ["xi_x", "snapshot"]
    last = found["final"].to_numpy().std(axis=(1, 2)) + float(found["time"][-1])
    np.testing.assert_allclose(found["spread"][:, -1], last, rtol=1e-6)


def test_records_are_those_of_the_states_of_the_run():
    profile = fp.Observable(lambda x, t: x.mean(axis=1), name="profile", dims="x", units="1", long_name="mean over y")
    found = run([profile, "structure_factor", "order_parameter_moments", "domain_wall_density"])
    states = list(fp.states(MODEL, (12, 10), 3, RUN["times"], seed=2, every=4))
    assert len(states) == found.sizes["time"] == 4
    for index, state in enumerate(states):
        at = found.isel(time=index)
        np.testing.assert_array_equal(at["profile"], state.x.mean(axis=1))
        np.testing.assert_array_equal(at["structure_factor"], structure_factor(state.x))
        np.testing.assert_array_equal(at["order_parameter_moments"], order_parameter_moments(state.x))
        np.testing.assert_array_equal(at["domain_wall_density"], domain_wall_density(state.x))
    assert found["profile"].attrs == {"long_name": "mean over y", "units": "1"}
    assert found["k"].dims == ("radial_shell",)
    assert "mode_derivative" not in found


def test_observables_do_not_change_the_run():
    default, other = run(None), run([spread])
    np.testing.assert_array_equal(default["final"], other["final"])


@pytest.mark.parametrize(
    ("observables", "message"),
    [
        (["colour"], "observable 'colour' is unknown; expected one of xi_x"),
        ("xi_x", "observables is 'xi_x'; expected a sequence"),
        (["xi_x", "xi_x"], "observable 'xi_x' is given twice"),
        ([lambda x, t: t], "an observable is called '<lambda>'; expected a name"),
        ([fp.Observable(spread, name="final")], "called 'final', which is taken"),
        ([lambda x, t: t, 3], "an observable is called"),
        ([3], "an observable is 3; expected a name, a function or an Observable"),
        ([fp.Observable(lambda x, t: x.mean(), name="m")], r"observable 'm' at t = 3 returned shape \(\); expected"),
        ([fp.Observable(lambda x, t: x, name="m")], r"returned shape \(3, 12, 10\); expected \(T = 3\)"),
        ([fp.Observable(lambda x, t: x[:, 0], "m", dims="y")], "has 10 values along y; expected 12"),
        ([fp.Observable(lambda x, t: x.fill(0), "m")], "observable 'm' at t = 3 raised ValueError: .*read-only"),
        ([fp.Observable(lambda x, t: ["a"] * 3, "m")], "returned dtype str"),
    ],
)
def test_what_is_no_observable_is_named_before_anything_runs(observables, message):
    with pytest.raises(InvalidInputError, match=message):
        run(observables)


def ones(name, *shape, dims=(), **options):
    return fp.Observable(lambda x, t: np.ones((len(x), *shape)), name, dims=dims, **options)


def never(x, t):
    raise AssertionError("a step was taken")


@pytest.mark.parametrize(
    ("observables", "message"),
    [
        ([ones("prior")], "called 'prior', which is taken"),
        ([ones("pattern_index")], "called 'pattern_index', which is taken"),
        ([ones("x")], "called 'x', which is taken"),
        ([ones("a", 2, dims="xi_x")], "observable 'a' has dimension 'xi_x', which is taken"),
        ([ones("a", 2, dims="prior")], "observable 'a' has dimension 'prior', which is taken"),
        ([ones("b"), ones("a", 2, dims="b")], "observable 'a' has dimension 'b', which is taken"),
        ([ones("a", 3, dims="bin"), ones("b", 4, dims="bin")], "'b' at t = 3 has 4 values along bin; expected 3"),
        ([ones("a", 3, dims="pattern_index")], "'a' at t = 3 has 3 values along pattern_index; expected 10"),
        ([ones("a", 3, dims="snapshot_time")], "'a' at t = 3 has 3 values along snapshot_time; expected 4"),
        ([ones("a", 3, dims="q", coordinates=lambda shape: {"q": [1, 2]})], "has 3 values along q; expected 2"),
    ],
)
def test_what_no_dataset_can_hold_is_named_at_the_first_time(observables, message):
    late = fp.Observable(lambda x, t: never(x, t) if t < 3.0 else np.zeros(len(x)), "late")
    with pytest.raises(InvalidInputError, match=message):
        run([*observables, late], snapshots=4)


@pytest.mark.parametrize(
    ("coordinates", "message"),
    [
        (lambda shape: {"q": 1 / 0}, "coordinates of observable 'a' raised ZeroDivisionError: .*; expected {name:"),
        (lambda shape: 3, "coordinates of observable 'a' raised TypeError"),
        (lambda shape: {"prior": ("q", [1, 2])}, "observable 'a' has coordinate 'prior', which is taken"),
        (lambda shape: {"a": ("q", [1, 2])}, "observable 'a' has coordinate 'a', which is taken"),
        (lambda shape: {"at": ("y", [1, 2])}, "coordinate 'at' of observable 'a' has 2 values along y; expected 12"),
    ],
)
def test_coordinates_that_do_not_fit_are_named_before_the_first_step(coordinates, message):
    with pytest.raises(InvalidInputError, match=message):
        run([fp.Observable(never, "a", dims="q", coordinates=coordinates)])


def test_two_observables_share_a_coordinate_that_is_the_same():
    def at(*values):
        return lambda shape: {"q": ("bin", list(values))}

    same = [ones(name, 2, dims="bin", coordinates=at(1.0, 2.0)) for name in "ab"]
    assert run(same)["q"].to_numpy().tolist() == [1.0, 2.0]
    with pytest.raises(InvalidInputError, match="observable 'c' has coordinate 'q', which is taken"):
        run([*same, ones("c", 2, dims="bin", coordinates=at(1.0, 3.0))])


def test_parameters_that_no_file_can_hold_are_named_before_the_first_step():
    class Odd(fp.PosteriorMeanModel):
        def __init__(self):
            self.parameters = {"a": np.float32(1.0)}

        def posterior_mean(self, x, t):
            raise AssertionError("a step was taken")

    for begin in (lambda: run(["xi_x"], Odd()), lambda: fp.states(Odd(), 8, 1, RUN["times"])):
        with pytest.raises(InvalidInputError, match=r"parameters of Odd hold what JSON cannot \(.*float32"):
            begin()


@pytest.mark.parametrize("dims", [("time",), ("a", "a"), ("not a name",)])
def test_dimensions_that_a_dataset_cannot_have(dims):
    with pytest.raises(InvalidInputError, match="expected distinct identifiers"):
        fp.Observable(spread, dims=dims)


def test_one_that_fails_on_the_way_costs_its_own_later_records_only():
    def fragile(x, t):
        if t < 1.0:
            raise ZeroDivisionError("too late")
        return np.ones(len(x))

    with pytest.warns(fp.ObservableWarning, match="'fragile' at t = 0.* raised ZeroDivisionError") as told:
        found = run(["xi_x", fragile])
    assert len(told) == 1
    assert (found["fragile"].where(found["time"] >= 1.0, drop=True) == 1.0).all()
    assert found["fragile"].where(found["time"] < 1.0, drop=True).isnull().all()
    np.testing.assert_array_equal(found["xi_x"], run(None)["xi_x"])


def test_nan_is_kept_and_told_once():
    with pytest.warns(fp.ObservableWarning, match="observable 'gap' is NaN at t = 3") as told:
        found = run([fp.Observable(lambda x, t: np.full(len(x), np.nan), "gap")])
    assert len(told) == 1
    assert found["gap"].isnull().all()


def test_chunks_say_what_they_cannot_take():
    pytest.importorskip("distributed", reason="dask is not installed")
    with pytest.raises(BackendUnavailableError, match="'dask' holds no field in one piece for observable 'spread'"):
        run([spread], backend="dask")


def test_observables_work_on_any_model():
    found = run([spread], fp.EmpiricalModel(fp.stripe_prototypes(8)), shape=8)
    assert found["spread"].notnull().all()


@pytest.mark.parametrize("kind", ["fused", "tree", "model"])
def test_what_is_not_recorded_is_not_measured_and_moves_nothing(kind, monkeypatch):
    """Without the derivatives among the observables no engine takes any, and the states are the same bits."""
    images = np.sign(np.random.default_rng(0).standard_normal((40, 12, 12))).astype(np.float32)
    model = {
        "fused": lambda: fp.PatchModel(fp.PatchDictionary.random(size=3, n_random=4)),
        "tree": lambda: fp.PatchModel(fp.PatchDictionary.from_images(images, 5)),
        "model": lambda: fp.EmpiricalModel(fp.stripe_prototypes(12)),
    }[kind]()
    options = {"times": fp.log_time_grid(steps=20, t_max=5), "record_every": 6, "snapshots": 2}
    whole = fp.simulate(model, 12, 2, **options)
    if kind == "model":
        monkeypatch.setattr(type(model), "mode_derivatives", None)
    part = fp.simulate(model, 12, 2, observables=["xi_x"], **options)
    assert "mode_derivative" not in part
    for name in ("xi_x", "snapshot", "final"):
        np.testing.assert_array_equal(part[name], whole[name])
