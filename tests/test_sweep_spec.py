"""Specs of sweeps: what a design's points are, and one sentence with the line for what a spec may not hold."""

import json
import re
from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import stats

import fastpatch as fp
from fastpatch.errors import DtypeError, InvalidInputError, ResultFileError
from fastpatch.sweeps import READY, Parameters, Point, Spec, load_spec
from fastpatch.sweeps.spec import points_of
from fastpatch.sweeps.store import SweepStore
from fastpatch.sweeps.toml_lines import line_of


def points(**spec):
    return points_of(load_spec(spec))


def values(name, **spec):
    return [getattr(point.parameters, name) for point in points(**spec)]


def test_a_grid_is_every_combination_once_and_the_rest_is_the_papers():
    found = points(parameters={"shape": [16, 32, 64], "beta": [0.5, 2.0], "uniform_mass": 0.8})
    assert len(found) == 6
    assert {(p.parameters.shape, p.parameters.beta) for p in found} == {
        ((L, L), b) for L in (16, 32, 64) for b in (0.5, 2.0)
    }
    assert {p.parameters.uniform_mass for p in found} == {0.8}
    rest = replace(found[0].parameters, shape=(80, 80), beta=1.0, uniform_mass=0.9)
    assert rest == Parameters()


def test_the_defaults_are_those_of_the_paper_and_of_simulate():
    point = Point(Parameters(), 0, 0)
    arguments = point.arguments()
    assert arguments["model"].dictionary == fp.PatchDictionary.random()
    assert arguments["model"].schedule == fp.VPSchedule()
    np.testing.assert_array_equal(arguments["times"], fp.log_time_grid())
    assert (arguments["shape"], arguments["trajectories"], arguments["dtype"]) == ((80, 80), 4, "float32")
    assert point.site_steps == 4 * 80**2 * 2000


def test_every_parameter_arrives_in_the_run():
    p = Parameters(
        shape=(12, 14), patch_size=3, random_patterns=2, sign_flips=False, uniform_mass=0.4, dictionary_seed=7,
        beta=0.5, t_max=20.0, t_min=0.01, steps=30, trajectories=3, solver="heun", dtype="float64",
    )  # fmt: skip
    point = Point(p, 1, 5)
    record = json.loads(point.simulate(Spec({}, records=10, shells=4).recording).attrs["provenance"])
    dictionary = fp.PatchDictionary.random(2, False, 0.4, 3, 7)
    assert record["run"] | {
        "shape": [12, 14], "trajectories": 3, "seed": point.seed, "dtype": "float64", "t_max": 20.0, "t_min": 0.01,
        "steps": 30,
    } == record["run"]  # fmt: skip
    assert record["run"]["model"]["dictionary"] == dictionary.digest
    assert record["run"]["model"]["beta"] == "0.5"
    assert (record["run"]["solver"], record["record_every"], record["backend"]) == ("heun", 3, "cpu")


def test_a_range_is_cut_evenly_on_its_scale():
    cut = values("beta", parameters={"beta": {"low": 0.5, "high": 2.5, "count": 5}})
    np.testing.assert_allclose(cut, [0.5, 1.0, 1.5, 2.0, 2.5], rtol=1e-11)
    cut = values("t_min", parameters={"t_min": {"low": 1e-4, "high": 1e-2, "count": 3, "scale": "log"}})
    np.testing.assert_allclose(cut, [1e-4, 1e-3, 1e-2], rtol=1e-11)
    cut = values("shape", parameters={"shape": {"low": 16, "high": 256, "count": 5, "scale": "log"}})
    assert cut == [(side, side) for side in (16, 32, 64, 128, 256)]
    assert all(isinstance(side, int) for shape in cut for side in shape)


def test_draws_are_uniform_on_their_scale_and_independent():
    found = points(
        design="random",
        points=2000,
        parameters={
            "beta": {"low": 0.5, "high": 2.5},
            "t_min": {"low": 1e-4, "high": 1e-2, "scale": "log"},
            "shape": {"low": 20, "high": 29},
            "sign_flips": [True, False],
        },
    )
    assert len({point.id for point in found}) == 2000
    drawn = {name: np.array([getattr(p.parameters, name) for p in found]) for name in ("beta", "t_min", "shape")}
    assert (drawn["shape"][:, 0] == drawn["shape"][:, 1]).all()
    drawn["shape"] = drawn["shape"][:, 0]
    flips = np.array([p.parameters.sign_flips for p in found])
    assert stats.kstest(drawn["beta"], stats.uniform(0.5, 2.0).cdf).pvalue > 1e-3
    assert stats.kstest(np.log10(drawn["t_min"]), stats.uniform(-4.0, 2.0).cdf).pvalue > 1e-3
    # Both ends are as frequent as what is between them.
    assert stats.chisquare(np.bincount(drawn["shape"], minlength=30)[20:]).pvalue > 1e-3
    assert stats.binomtest(int(flips.sum()), 2000).pvalue > 1e-3
    assert abs(np.corrcoef([*drawn.values(), flips]) - np.eye(4)).max() < 0.1


def test_a_larger_design_contains_the_smaller_one():
    small = {"parameters": {"shape": [16, 64], "beta": [0.5, 1.0]}}
    large = {"parameters": {"shape": [16, 32, 64], "beta": [0.25, 0.5, 1.0], "steps": [1000, 2000]}, "replicas": 2}
    ids = [{p.id: p.seed for p in points(**spec)} for spec in (small, large)]
    assert ids[0].items() <= ids[1].items()
    random = {"design": "random", "parameters": {"beta": {"low": 0.5, "high": 2.0}, "shape": [16, 32]}}
    ids = [{p.id for p in points(**random, points=count)} for count in (20, 50)]
    assert ids[0] < ids[1]


def test_every_point_has_a_seed_of_its_own_made_of_all_that_it_is():
    base = Point(Parameters(), 0, 0)
    other = {"shape": (80, 81), "dictionary": "0" * 64, "patch_size": 3, "random_patterns": 9, "sign_flips": False}
    other |= {"uniform_mass": 0.5, "dictionary_seed": 1, "beta": 2.0}
    other |= {"t_max": 40.0, "t_min": 0.01, "steps": 1000, "trajectories": 8, "solver": "heun", "dtype": "float64"}
    other |= {"backend": "cuda"}
    assert other.keys() == {field.name for field in fields(Parameters)}
    changed = [replace(base, parameters=replace(base.parameters, **{name: value})) for name, value in other.items()]
    changed += [replace(base, replica=1), replace(base, sweep_seed=1)]
    assert len({point.seed for point in (base, *changed)}) == len(changed) + 1
    assert len({point.id for point in (base, *changed)}) == len(changed) + 1
    seeds = np.array([p.seed for p in points(replicas=2000, parameters={})], dtype=np.uint64)
    assert stats.kstest(seeds / 2**64, stats.uniform.cdf).pvalue > 1e-3


def test_a_combination_that_is_drawn_again_is_another_replica():
    found = points(design="random", points=40, parameters={"shape": [16, 32], "beta": [0.5, 1.0]})
    assert len({(p.parameters, p.replica) for p in found}) == 40
    assert len({p.parameters for p in found}) == 4
    assert [p.replica for p in points(replicas=3, parameters={"shape": [16, 32]})] == [0, 1, 2, 0, 1, 2]


def test_the_canonical_form_is_a_spec_again_and_knows_what_matters():
    content = {
        "title": "a title", "design": "random", "points": 7, "seed": 3, "records": 50, "shells": 4, "budget": 1e9,
        "parameters": {
            "shape": {"low": 8, "high": 16}, "beta": {"low": 0.5, "high": 2, "scale": "log"}, "random_patterns": [4, 8],
        },
    }  # fmt: skip
    spec = load_spec(content)
    again = load_spec(json.loads(json.dumps(spec.canonical())))
    assert points_of(again) == points_of(spec)
    assert again.difference(spec) is None
    assert load_spec({**content, "title": "another", "budget": 1.0}).difference(spec) is None
    found = load_spec({**content, "records": 51}).difference(spec)
    assert found == "records is 51 in the spec and 50 in the spec"
    assert load_spec({"parameters": {"shape": [16]}}).difference(load_spec({"parameters": {"shape": 16}})) is None


@pytest.mark.parametrize("name", READY)
def test_ready_specs_are_possible_and_within_their_budget(name, tmp_path):
    store = SweepStore.plan(tmp_path / name, load_spec(name), extend=False, over_budget=False)
    assert store.spec.title
    assert len(store.points) > 1
    assert list(tmp_path.iterdir()) == []


# The key is set on the line that ends in a comment "here".
DOCUMENTS = {
    "plain": 'title = "x"\nseed = 1 # here\nrecords = 5\n',
    "in a table": "seed = 1\n\n[parameters]\n# seed\nshape = 3\nseed = 2 # here\n",
    "after a list of many lines": "[parameters]\nshape = [\n  16,\n  32,\n]\n\nseed = 2 # here\n",
    "a list of many lines": "[parameters]\nseed = [ # here\n  16,\n  32,\n]\nshape = 3",
    "after text that looks like it": '[parameters]\nt = """\nseed = 1\n"""\nseed = 2 # here\n',
    "quoted": '[parameters]\n"seed" = 2 # here\n',
    "dotted": "shape = 1\nparameters.seed = 2 # here\n",
    "inline": "shape = 1\nparameters = {shape = 3, seed = 2} # here\n",
    "a table": "shape = 1\n[parameters.seed] # here\nlow = 2\n",
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_line_of_a_key_is_found(name):
    text = DOCUMENTS[name]
    (expected,) = [number for number, line in enumerate(text.splitlines(), 1) if line.endswith("# here")]
    path = ("seed",) if name == "plain" else ("parameters", "seed")
    assert line_of(text, path) == expected
    assert line_of(text, (*path[:-1], "absent")) is None


BAD = {
    "relicas = 2": (1, "relicas is not a key of a spec; expected replicas"),
    "seed = 1\nxyz = 2": (2, "xyz is not a key of a spec; expected one of title, design, "),
    "[parameters]\nshape = 8\nuniform_mas = 0.9": (3, "uniform_mas is not a parameter; expected uniform_mass"),
    "[parameters]\nqqq = 1": (2, "qqq is not a parameter; expected one of shape, dictionary, patch_size, "),
    "[paramters]\nshape = 8": (1, "paramters is not a key of a spec; expected parameters"),
    "parameters = 3": (1, "parameters is 3; expected a table"),
    "[parameters]\n\nshape = 'eighty'": (3, "shape is 'eighty'; expected a side, as 80, or two, as 200x120"),
    "[parameters]\nshape = 8.0": (2, "shape is 8.0; expected an integer"),
    "[parameters]\nshape = true": (2, "shape is True; expected an integer"),
    "[parameters]\nshape = [8, 16.5]": (2, "shape is 16.5; expected an integer"),
    "[parameters]\nshape = [\n8,\n'x',\n]": (2, "shape is 'x'; expected a side, as 80, or two, as 200x120"),
    "[parameters]\nshape = []": (2, r"shape is \[\]; expected at least one value, each once"),
    "[parameters]\nshape = [8, 16, 8]": (2, r"shape is \[8, 16, 8\]; expected at least one value, each once"),
    "[parameters]\nshape = -8": (2, "shape is -8; expected at least 1"),
    "[parameters]\nbeta = '1'": (2, "beta is '1'; expected a number"),
    "[parameters]\nbeta = nan": (2, "beta is nan; expected a finite number"),
    "[parameters]\nbeta = true": (2, "beta is True; expected a number"),
    "[parameters]\nbeta = 2026-01-01": (2, r"beta is datetime.date\(2026, 1, 1\); expected a number"),
    "[parameters]\nsign_flips = 1": (2, "sign_flips is 1; expected true or false"),
    "[parameters]\ndtype = 'float16'": (2, "dtype is 'float16'; expected 'float32' or 'float64'"),
    "[parameters]\nsolver = 2": (2, "solver is 2; expected 'euler-maruyama' or 'ancestral' or 'heun'"),
    "[parameters]\nbeta = {low = 1}": (2, "beta is a range without high; expected low and high"),
    "[parameters]\nbeta = {low = 1, hihg = 2}": (2, "hihg is not a key of a range; expected high"),
    "[parameters.beta]\nlow = 1\nhihg = 2": (3, "hihg is not a key of a range; expected high"),
    "[parameters]\nbeta = {low = 1, high = 2}": (2, "beta is a range without count; expected the number of its values"),
    "[parameters]\nbeta = {low = 1, high = 2, count = 1}": (2, "beta.count is 1; expected at least 2"),
    "[parameters]\nbeta = {low = 2, high = 1, count = 3}": (2, "beta goes from 2.0 to 1.0 on a linear scale; expected"),
    "[parameters]\nbeta = {low = 0, high = 1, count = 3, scale = 'log'}": (2, "expected 0 < low < high"),
    "[parameters]\nbeta = {low = 1, high = 2, count = 3, scale = 'cubic'}": (2, "beta.scale is 'cubic'; expected 'lin"),
    "[parameters]\nshape = {low = 8, high = 10, count = 5}": (
        2,
        "shape has no 5 different values from 8 to 10; expected fewer",
    ),
    "[parameters]\nshape = {low = 8.5, high = 10, count = 2}": (2, "shape.low is 8.5; expected an integer"),
    "[parameters]\ndtype = {low = 1, high = 2, count = 2}": (2, "dtype is a range; expected one of float32, float64"),
    "design = 'latin'": (1, "design is 'latin'; expected 'grid' or 'random'"),
    "seed = 1\ndesign = 'random'": (2, "design is 'random' and points is absent; expected a number of points"),
    "points = 3": (1, "points is set for a grid; expected it in a random design only"),
    "design = 'random'\npoints = 0": (2, "points is 0; expected at least 1"),
    "design = 'random'\npoints = 2\n[parameters]\nshape = {low = 8, high = 9, count = 2}": (
        4,
        "shape has a count in a random",
    ),
    "replicas = 0": (1, "replicas is 0; expected at least 1"),
    "records = 'all'": (1, "records is 'all'; expected an integer"),
    "shells = 2": (1, "shells is 2; expected at least 3"),
    "budget = '1e9'": (1, "budget is '1e9'; expected a number"),
    "title = 3": (1, "title is 3; expected a string"),
}


@pytest.mark.parametrize("text", BAD)
def test_what_a_spec_may_not_hold_is_named_with_its_line(text, tmp_path):
    line, message = BAD[text]
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises((InvalidInputError, DtypeError), match=rf"^.*study\.toml, line {line}: .*{message}") as raised:
        load_spec(path)
    assert "\n" not in str(raised.value)
    assert "; expected " in str(raised.value)


def test_a_mapping_is_read_like_a_file():
    with pytest.raises(InvalidInputError, match=r"^the spec: relicas is not a key of a spec; expected replicas$"):
        load_spec({"relicas": 2})


def test_files_that_are_no_specs(tmp_path):
    with pytest.raises(
        ResultFileError, match=r"^absent\.toml cannot be read \(No such file.*\); expected a TOML file, or"
    ):
        load_spec("absent.toml")
    with pytest.raises(ResultFileError, match=r"cannot be read \(Is a directory\)"):
        load_spec(tmp_path)
    path = tmp_path / "study.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ResultFileError, match=r"study\.toml is not UTF-8 text; expected"):
        load_spec(path)
    path.write_text("seed = 1\nL == 3\n")
    with pytest.raises(InvalidInputError, match=r"study\.toml is not TOML: .*line 2.*; expected the spec of a sweep"):
        load_spec(path)


IMPOSSIBLE = {
    "patch_size": (4, "size is 4; expected an odd pattern size"),
    "shape": ([16, 3], "the lattice is 3x3; expected sides of at least the pattern size 5"),
    "uniform_mass": (1.5, r"uniform_mass is 1.5; expected a probability in \[0, 1\]"),
    "random_patterns": ([8, 0], "n_random is 0 and uniform_mass is 0.9; expected"),
    "beta": (0.0, "beta is 0.0; expected a positive noise rate"),
    "t_min": ([0.001, 60.0], "t_max is 50.0 and t_min is 60.0; expected t_max > t_min > 0"),
    "steps": (0, "steps is 0; expected at least 1"),
    "trajectories": (0, "trajectories is 0; expected at least 1"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_points_are_refused_before_anything_is_written(name, tmp_path):
    value, message = IMPOSSIBLE[name]
    spec = load_spec({"parameters": {name: value}})
    with pytest.raises(InvalidInputError, match=rf"^the point with .*{name} = .* is impossible: {message}"):
        fp.sweep(spec, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_design_beyond_its_budget_is_refused_before_anything_is_written(tmp_path):
    spec = {"budget": 1e6, "replicas": 2, "parameters": {"shape": [8, 16], "steps": 1000, "trajectories": 2}}
    cost = 2 * 2 * 1000 * (8**2 + 16**2)
    with pytest.raises(
        InvalidInputError,
        match=rf"{re.escape(f'{cost:.3g}')} site-steps in 4 points, .*budget of 1e\+06; expected.*--yes",
    ):
        fp.sweep(spec, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    store = SweepStore.plan(tmp_path / "out", load_spec(spec), extend=False, over_budget=True)
    assert sum(point.site_steps for point in store.points) == cost


def test_a_design_of_a_billion_points_is_refused_at_once():
    spec = {"parameters": {name: list(range(5, 1005)) for name in ("shape", "random_patterns", "steps")}}
    with pytest.raises(InvalidInputError, match="the spec asks for 1000000000 points; expected at most 1000000"):
        points(**spec)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"solver": "heun", "backend": "cuda"}, "is impossible: backend 'cuda' has no kernels for solver 'heun'"),
        (
            {"dictionary_seed": 2**63},
            "the spec: dictionary_seed is 9223372036854775808; expected at least 0 and at most",
        ),
    ],
)
def test_points_that_no_worker_could_run(parameters, message, tmp_path):
    with pytest.raises(InvalidInputError, match=message):
        SweepStore.plan(tmp_path / "out", load_spec({"parameters": parameters}), extend=False, over_budget=False)
    with pytest.raises(InvalidInputError, match="beta is an integer beyond 1e308; expected a finite number"):
        load_spec({"parameters": {"beta": 10**400}})
