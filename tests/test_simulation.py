"""`simulate`: what it records, how it is labelled, and that nothing but the physics decides the numbers."""

import json
import subprocess
import sys

import numpy as np
import pytest
from cases import DICTIONARIES, DTYPES, LARGE, SHAPES

import fastpatch as fp
from fastpatch.analysis import (
    correlation_length,
    directional_derivatives,
    finite_difference_step,
    fit_equilibrium_length,
    fourier_modes,
)
from fastpatch.errors import InvalidInputError

MODEL = fp.PatchModel(DICTIONARIES["18 patterns"])
GRID = fp.log_time_grid(10.0, steps=60)


def run(model=MODEL, **options):
    return fp.simulate(model, **{"shape": (18, 22), "trajectories": 3, "times": GRID, "seed": 4, **options})


def assert_same_bits(found, expected):
    """Every variable and coordinate equal bit for bit; provenance tells the machine, which may differ."""
    assert set(found.variables) == set(expected.variables)
    for name in expected.variables:
        np.testing.assert_array_equal(found[name].to_numpy(), expected[name].to_numpy(), err_msg=name)
        assert found[name].dtype == expected[name].dtype


# Shapes with one and several bands of rows and tiles; one trajectory and many, which are shared out differently.
@pytest.mark.parametrize("shape", [SHAPES["even"], (33, 150)])
@pytest.mark.parametrize("trajectories", [1, 2, 5])
def test_any_number_of_threads_gives_the_same_bits(shape, trajectories, dtype, backend, threads):
    runs = []
    for count in (1, 2):
        threads(count)
        runs.append(
            run(
                shape=shape,
                trajectories=trajectories,
                times=fp.log_time_grid(10.0, steps=25),
                dtype=dtype,
                backend=backend,
            )
        )
    assert_same_bits(*runs)


@pytest.mark.parametrize("name", sorted(LARGE))
def test_large_dictionaries_too(name, threads):
    options = {"model": fp.PatchModel(LARGE[name]), "shape": (28, 30), "times": GRID[20:24]}
    runs = []
    for count in (1, 2):
        threads(count)
        runs.append(run(trajectories=2, snapshots=0, **options))
    assert_same_bits(*runs)
    alone = run(trajectories=1, first_trajectory=1, snapshots=0, **options)
    assert_same_bits(alone, runs[0].isel(trajectory=[1]))


@pytest.mark.parametrize("pieces", [(1, 1, 1, 1, 1), (2, 3), (4, 1)])
def test_any_grouping_of_trajectories_gives_the_same_bits(pieces, dtype, backend):
    import xarray as xr

    whole = run(trajectories=5, first_trajectory=7, dtype=dtype, backend=backend)
    np.testing.assert_array_equal(whole["trajectory"], np.arange(7, 12))
    first, parts = 7, []
    for count in pieces:
        parts.append(run(trajectories=count, first_trajectory=first, dtype=dtype, backend=backend))
        first += count
    joined = xr.concat(parts, "trajectory", data_vars="minimal", join="exact", compat="equals", combine_attrs="drop")
    assert_same_bits(joined, whole)


@pytest.mark.parametrize("every", [1, 2, 7, 60, 1000])
def test_recording_rarely_changes_nothing_but_the_number_of_records(every, dtype, backend):
    whole = run(dtype=dtype, backend=backend)
    steps = [*range(0, 60, every), 60]
    found = run(record_every=every, dtype=dtype, backend=backend)
    np.testing.assert_array_equal(found["step"], steps)
    np.testing.assert_array_equal(found["time"], GRID[list(steps)])
    assert_same_bits(found, whole.isel(time=steps))


def test_snapshots_and_shells_change_nothing_else(dtype):
    whole = run(dtype=dtype)
    for options in ({"snapshots": 0}, {"snapshots": 61}, {"shells": (3, 0, 9, 2, 1)}):
        found = run(dtype=dtype, **options)
        for name in ("xi_x", "xi_eq", "magnetization", "final"):
            np.testing.assert_array_equal(found[name], whole[name], err_msg=name)
    np.testing.assert_array_equal(found["shell"], [3, 0, 9, 2, 1])
    np.testing.assert_array_equal(found["mode_derivative"].sel(shell=[0, 1, 2, 3]), whole["mode_derivative"][:, :, :4])


def test_the_seed_and_the_precision_matter():
    whole = run()
    assert np.abs(run(seed=5)["final"] - whole["final"]).max() > 0.1
    assert np.abs(whole["final"][0] - whole["final"][1]).max() > 0.1
    # One stream of noise in both precisions: the runs agree until rounding errors have grown.
    double = run(dtype="float64")
    np.testing.assert_array_equal(double["snapshot"][:, 0], whole["snapshot"][:, 0])
    np.testing.assert_allclose(double["magnetization"][:, :30], whole["magnetization"][:, :30], rtol=0, atol=1e-5)
    assert (double["final"] != whole["final"]).any()


def test_another_process_gives_the_same_bits(tmp_path):
    code = (
        "import sys, fastpatch as fp; model = fp.PatchModel(fp.PatchDictionary.random())\n"
        "for dtype in 'float32', 'float64':\n"
        "    found = fp.simulate(model, (18, 22), 3, fp.log_time_grid(10.0, steps=60), seed=4, dtype=dtype)\n"
        "    fp.save(found, f'{sys.argv[1]}/{dtype}.nc')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=300)
    for dtype in DTYPES:
        assert_same_bits(fp.load(tmp_path / f"{dtype}.nc"), run(dtype=dtype))


@pytest.mark.parametrize("shape", [(18, 18), (18, 22), (35, 13)])
@pytest.mark.parametrize("name", ["18 patterns", "real-valued", "10 without flips"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_records_are_the_observables_of_the_states(shape, name, dtype):
    model, diagonal = fp.PatchModel(DICTIONARIES[name]), shape[0] == shape[1]
    options = {"shape": shape, "trajectories": 2, "times": GRID, "seed": 1, "dtype": dtype}
    found = fp.simulate(model, diagonal=diagonal, snapshots=61, **options)
    assert found["final"].dtype == found["snapshot"].dtype == dtype
    # 2 pi / L per axis; the fit sees the mean of two axes.
    k_min = np.sqrt(np.mean((2 * np.pi / np.array(shape)) ** 2))
    assert found.attrs["k_min"] == pytest.approx(k_min, rel=1e-14)
    for state in fp.states(model, **options):
        at = found.isel(time=state.step)
        np.testing.assert_array_equal(found["snapshot"].isel(snapshot_time=state.step), state.x)
        np.testing.assert_array_equal(at["xi_x"], correlation_length(state.x))
        np.testing.assert_allclose(
            at["magnetization"], state.x.astype(np.float64).mean(axis=(1, 2)), rtol=0, atol=1e-14
        )
        exact = model.mode_derivatives(state.x.astype(np.float64), state.time, diagonal=diagonal)
        # Measured on the way in the precision of the run: weights inherit the rounding errors of logits that grow
        # with alpha/sigma^2.
        gain = np.exp(-state.time / 2) / -np.expm1(-state.time)
        tolerance = 200 * np.finfo(dtype).eps * (1 + gain) * np.abs(exact).max()
        np.testing.assert_allclose(at["mode_derivative"], exact, rtol=0, atol=tolerance, err_msg=f"t = {state.time}")
        shells = at["mode_derivative"].to_numpy()[..., :2].mean(axis=-1)
        np.testing.assert_allclose(at["xi_eq"], fit_equilibrium_length(shells, k_min), rtol=1e-12)
    np.testing.assert_array_equal(found["final"], state.x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_records_that_do_not_fit_one_block_of_memory(dtype):
    # Fields are collected to some megabytes before their lengths are taken: these fill several such blocks, and the
    # snapshots fall between the records.
    options = {"shape": (250, 260), "trajectories": 2, "times": fp.log_time_grid(4.0, 1.0, 40), "dtype": dtype}
    found = fp.simulate(MODEL, record_every=3, snapshots=options["times"][::5], **options)
    kept = iter(found["snapshot"].transpose("snapshot_time", ...).to_numpy())
    for state in fp.states(MODEL, **options):
        if state.step % 5 == 0:
            np.testing.assert_array_equal(next(kept), state.x)
        if state.step % 3 == 0 or state.step == 40:
            at = found.sel(time=state.time)
            assert at["step"] == state.step
            np.testing.assert_array_equal(at["xi_x"], correlation_length(state.x))
            np.testing.assert_allclose(at["magnetization"], state.x.mean(axis=(1, 2), dtype=np.float64), rtol=1e-12)


class Opaque:
    """A drift and nothing else, so that derivatives have to be taken by finite differences."""

    def __init__(self, model):
        self.schedule, self._model = model.schedule, model

    def score(self, x, t):
        return self._model.score(x, t)

    def drift(self, x, t):
        return self._model.drift(x, t)


def test_a_model_of_ones_own_runs_and_is_measured_by_finite_differences():
    opaque = Opaque(MODEL)
    assert isinstance(opaque, fp.Model)
    times = fp.log_time_grid(5.0, 0.1, 12)
    options = {"shape": (12, 12), "trajectories": 2, "times": times, "seed": 2, "dtype": "float64"}
    found, expected = (fp.simulate(model, diagonal=True, **options) for model in (opaque, MODEL))
    np.testing.assert_allclose(found["final"], expected["final"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["mode_derivative"], expected["mode_derivative"], rtol=1e-4, atol=1e-5)
    assert "pattern" not in found
    assert "critical_time" not in found.attrs
    state = next(fp.states(opaque, **options))
    step = finite_difference_step(opaque.schedule.sigma2(times[0]))
    modes = fourier_modes((12, 12), range(7), True)
    np.testing.assert_array_equal(
        found["mode_derivative"][:, 0],
        directional_derivatives(lambda x: opaque.drift(x, times[0]), state.x, modes, step),
    )


def test_the_empirical_model_runs_and_uses_its_exact_derivatives(dtype):
    model = fp.EmpiricalModel(fp.stripe_prototypes(12))
    options = {"shape": (12, 12), "trajectories": 2, "times": GRID, "dtype": dtype}
    found = fp.simulate(model, **options)
    for state in fp.states(model, every=20, **options):
        exact = model.mode_derivatives(state.x.astype(np.float64), state.time)
        np.testing.assert_array_equal(found["mode_derivative"].isel(time=state.step), exact)
    assert found.attrs["critical_time"] == pytest.approx(np.log(145.0))
    np.testing.assert_array_equal(found["prototype"], model.prototypes)
    # Every trajectory ends on one of the two stored patterns.
    overlap = np.abs((found["final"] * model.prototypes[0]).mean(("y", "x")))
    assert (overlap > 0.9).all()


def test_the_dataset_is_the_one_promised(dtype):
    found = run(dtype=dtype, diagonal=False, snapshots=4)
    assert dict(found.sizes) == {
        "trajectory": 3, "time": 61, "shell": 7, "direction": 2, "snapshot_time": 4, "y": 18, "x": 22,
        "pattern_index": 18, "pattern_y": 5, "pattern_x": 5,
    }  # fmt: skip
    dimensions = {
        "xi_x": ("trajectory", "time"),
        "mode_derivative": ("trajectory", "time", "shell", "direction"),
        "xi_eq": ("trajectory", "time"),
        "magnetization": ("trajectory", "time"),
        "snapshot": ("trajectory", "snapshot_time", "y", "x"),
        "final": ("trajectory", "y", "x"),
        "pattern": ("pattern_index", "pattern_y", "pattern_x"),
        "prior": ("pattern_index",),
    }
    assert {name: found[name].dims for name in found.data_vars} == dimensions
    for name in ("xi_x", "mode_derivative", "xi_eq", "magnetization"):
        assert found[name].dtype == np.float64
    for name in ("xi_x", "mode_derivative", "xi_eq", "magnetization", "snapshot", "final", "time", "shell", "step"):
        assert found[name].attrs["long_name"], name
        assert found[name].attrs["units"], name
    np.testing.assert_array_equal(found["time"], GRID)
    np.testing.assert_array_equal(found["shell"], np.arange(7))
    assert found["direction"].to_numpy().tolist() == ["y", "x"]
    np.testing.assert_allclose(found["wave_number"].sel(direction="y"), 2 * np.pi * np.arange(7) / 18)
    np.testing.assert_allclose(found["wave_number"].sel(direction="x"), 2 * np.pi * np.arange(7) / 22)
    np.testing.assert_array_equal(found["pattern"], MODEL.dictionary.patterns)
    np.testing.assert_array_equal(found["prior"], MODEL.dictionary.prior)
    np.testing.assert_array_equal(found["final"], found["snapshot"].isel(snapshot_time=-1))
    assert found.attrs["critical_time"] == pytest.approx(fp.theory.critical_time("score", dictionary=MODEL.dictionary))
    assert run(shape=(14, 14), diagonal=True)["direction"].to_numpy().tolist() == ["y", "x", "diagonal"]


def test_direction_0_varies_along_axis_minus_2():
    # Stripes along one axis: only derivatives along the other see them.
    i = np.arange(16)
    stripes = np.where(np.cos(2 * np.pi * i / 16 + 0.1) > 0, 1.0, -1.0)[:, None] * np.ones((16, 16))
    model = fp.EmpiricalModel(np.stack([stripes, -stripes]))
    found = fp.simulate(model, (16, 16), 1, times=[9.0, 8.0], snapshots=0)["mode_derivative"].sel(shell=1)
    bare = -0.5 - 1 / np.expm1(-9.0)
    assert (found.sel(direction="x").isel(time=0) == pytest.approx(bare, rel=1e-9)).all()
    assert (found.sel(direction="y").isel(time=0) < bare - 0.01).all()


@pytest.mark.parametrize(
    ("snapshots", "steps"),
    [
        (0, []),
        (1, [0]),
        (2, [0, 60]),
        (4, None),
        (61, range(61)),
        ([], []),
        ([10.0, 1e-3], [0, 60]),
        ([0.2, 3.0], None),
    ],
)
def test_snapshots_by_number_or_by_time(snapshots, steps):
    found = run(snapshots=snapshots)["snapshot_time"].to_numpy()
    if snapshots == 4:
        # Evenly spaced in alpha(t) = exp(-t / 2), to the nearest time of the grid.
        wanted = np.linspace(*np.exp(-0.5 * GRID[[0, -1]]), 4)
        steps = [int(np.abs(np.exp(-0.5 * GRID) - alpha).argmin()) for alpha in wanted]
        assert 0.3 < found[2] < 1.5
    elif steps is None:
        # The nearest of the grid in log t, in the order of the run.
        steps = [int(np.abs(np.log(GRID / t)).argmin()) for t in (3.0, 0.2)]
    np.testing.assert_array_equal(found, GRID[list(steps)])


def test_defaults_are_the_papers():
    import inspect

    defaults = {name: p.default for name, p in inspect.signature(fp.simulate).parameters.items()}
    assert defaults["shape"] == (80, 80)
    assert defaults["trajectories"] == 4
    assert list(defaults["shells"]) == list(range(7))
    assert (defaults["dtype"], defaults["backend"], defaults["record_every"]) == ("float32", "auto", 1)
    assert (defaults["seed"], defaults["snapshots"], defaults["progress"]) == (0, 5, False)


def test_a_library_call_prints_nothing_unless_asked(capfd):
    run()
    assert capfd.readouterr() == ("", "")
    run(progress=True)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "/60" in shown.err


def test_provenance_says_all_that_made_the_result(threads):
    threads(2)
    found = json.loads(run(dtype="float64", record_every=3, first_trajectory=2).attrs["provenance"])
    expected = {
        "shape": [18, 22], "trajectories": 3, "first_trajectory": 2, "seed": 4, "dtype": "float64",
        "solver": "euler-maruyama", "t_max": 10.0, "t_min": 1e-3, "steps": 60,
    }  # fmt: skip
    assert {name: found["run"][name] for name in expected} == expected
    assert found["run"]["model"] == {
        "type": "PatchModel", "dictionary": MODEL.dictionary.digest, "patterns": 18, "size": 5, "beta": "1.0",
    }  # fmt: skip
    assert (found["record_every"], found["backend"]) == (3, "cpu")
    environment = found["environment"]
    assert {"python", "numba", "numpy", "scipy", "xarray"} <= environment["versions"].keys()
    assert environment["versions"]["numpy"] == np.__version__
    assert environment["fastpatch"] == fp.__version__
    assert environment["threads"] == 2
    assert environment["cpu"]
    assert "git_revision" in environment
    # The grid itself is too long for a record, its digest is not.
    times = np.where(np.arange(61) == 30, GRID * 1.001, GRID)
    other = json.loads(run(times=times, dtype="float64", first_trajectory=2).attrs["provenance"])["run"]
    assert other.keys() == found["run"].keys()
    (changed,) = (name for name in other if other[name] != found["run"][name])
    assert changed.endswith("sha256")


class _Relaxing:
    """A user's model, whose drift has a type and a shape of its own."""

    schedule = fp.VPSchedule()

    def __init__(self, returned=lambda x: 0.5 * x.astype(np.float64)):
        self._returned = returned

    def drift(self, x, t):
        return self._returned(x)

    score = drift


@pytest.mark.parametrize("solver", ["euler-maruyama", "heun"])
def test_states_keep_their_precision_and_shape_whatever_a_model_returns(solver):
    times = fp.log_time_grid(10.0, steps=20)
    found = fp.simulate(_Relaxing(), (8, 8), 2, times, solver=solver, record_every=10)
    assert found.final.dtype == found.snapshot.dtype == np.float32
    of_another_shape = _Relaxing(lambda x: x.mean(axis=(-2, -1), keepdims=True))
    with pytest.raises(InvalidInputError, match=r"\(x.*\) has shape \(2, 1, 1\); expected that of x, \(2, 8, 8\)"):
        fp.simulate(of_another_shape, (8, 8), 2, times, solver=solver, record_every=20)


def test_a_short_grid_keeps_all_its_fields():
    model = fp.PatchModel(DICTIONARIES["18 patterns"])
    assert fp.simulate(model, (8, 8), 1, times=[2.0, 1.5, 1.0]).sizes["snapshot_time"] == 3


def test_a_rate_that_is_only_known_on_the_grid_needs_no_predicted_time():
    def beta(t):
        if t > 1.0:
            raise LookupError("beyond the table")
        return 1.0

    model = fp.PatchModel(DICTIONARIES["18 patterns"], fp.VPSchedule(beta))
    found = fp.simulate(model, (8, 8), 1, fp.log_time_grid(1.0, 1e-3, 20))
    assert "critical_time" not in found.attrs
    assert "critical_time" in fp.simulate(fp.PatchModel(DICTIONARIES["18 patterns"]), (8, 8), 1, [2.0, 1.0]).attrs
