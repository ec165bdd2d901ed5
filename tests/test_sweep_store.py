"""The store of a sweep: what it holds, that nothing in it is computed twice, and that no damage goes unnoticed."""

import json
import shutil

import dask.array
import numpy as np
import pytest
import xarray as xr
import zarr
from sweep_cases import COUNT, SPEC, content, threaded_client

import fastpatch as fp
from fastpatch.errors import InvalidInputError, OutputError, ResultFileError
from fastpatch.sweeps import Point, load_spec, point_result
from fastpatch.sweeps.files import SweepFiles
from fastpatch.sweeps.store import SweepStore

VARIABLES = {"xi_x", "mode_derivative", "xi_eq", "magnetization", "time", "step", "provenance"}


@pytest.fixture(scope="module")
def client():
    with threaded_client() as client:
        yield client


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of eight points, so that twelve fill one and a half of another."""
    monkeypatch.setattr("fastpatch.sweeps.store._SHARD_BYTES", 8 * 11 * 2 * 9 * 8)


@pytest.fixture
def computed(monkeypatch):
    """The ids of the points that are computed, in order."""
    ids, simulate = [], Point.simulate

    def counted(self, *arguments):
        ids.append(self.id)
        return simulate(self, *arguments)

    monkeypatch.setattr(Point, "simulate", counted)
    return ids


@pytest.fixture(scope="module")
def undisturbed(client, tmp_path_factory):
    """A finished sweep in small shards, which tests copy before they harm it."""
    directory = tmp_path_factory.mktemp("undisturbed") / "sweep"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastpatch.sweeps.store._SHARD_BYTES", 8 * 11 * 2 * 9 * 8)
        fp.sweep(SPEC, directory, client)
    return directory


@pytest.fixture
def copy(undisturbed, tmp_path):
    return shutil.copytree(undisturbed, tmp_path / "copy")


def test_every_point_is_the_run_that_simulate_makes_of_it(undisturbed):
    dataset = fp.open_sweep(undisturbed)
    assert dataset.sizes["point"] == COUNT
    assert dataset["finished"].all()
    for index in range(COUNT):
        of = dataset.isel(point=index)
        expected = fp.simulate(
            fp.PatchModel(fp.PatchDictionary.random()),
            tuple(map(int, str(of["shape"].item()).split("x"))),
            int(of["trajectories"]),
            fp.log_time_grid(steps=int(of["steps"])),
            seed=int(of["seed"]),
            record_every=-(-int(of["steps"]) // 8),
            shells=range(4),
            solver="ancestral",
        )
        found = point_result(dataset, index)
        for name in ("xi_x", "mode_derivative", "xi_eq", "magnetization", "time", "step", "shell", "trajectory"):
            xr.testing.assert_equal(found[name].variable, expected[name].variable)
            assert found[name].attrs == expected[name].attrs
        ours, theirs = (json.loads(d.attrs["provenance"]) for d in (found, expected))
        assert {**ours, "environment": None} == {**theirs, "environment": None}
        assert ours["environment"]["versions"] == theirs["environment"]["versions"]
        assert ours["environment"]["threads"] == 1


def test_a_point_can_be_run_again_with_its_fields(undisturbed):
    spec = load_spec(SPEC)
    store = SweepStore.open(undisturbed)
    again = store.points[7].simulate(spec.recording, snapshots=2)
    kept = point_result(fp.open_sweep(undisturbed), 7)
    np.testing.assert_array_equal(again["xi_x"], kept["xi_x"])
    assert again["final"].shape == (2, 12, 12)
    assert again.sizes["snapshot_time"] == 2


def test_where_a_point_has_no_value_there_is_none(undisturbed):
    dataset = fp.open_sweep(undisturbed).load()
    step = dataset["step"].to_numpy()
    for index, steps in enumerate(dataset["steps"].to_numpy()):
        recorded = step[index][step[index] >= 0]
        assert (recorded[0], recorded[-1]) == (0, steps)
        assert (np.diff(recorded)[:-1] == np.diff(recorded)[0]).all()
    assert (np.isnan(dataset["time"]) == (dataset["step"] < 0)).all()
    absent = (dataset["trajectory"] >= dataset["trajectories"]) | np.isnan(dataset["time"])
    for name in ("xi_x", "magnetization", "mode_derivative"):
        assert (np.isnan(dataset[name]) == absent).all()
    assert absent.any()


def test_it_opens_lazily_a_shard_at_a_time(undisturbed):
    dataset = fp.open_sweep(undisturbed)
    for name in (*dataset.data_vars, "time", "provenance"):
        assert isinstance(dataset[name].data, dask.array.Array), name
        assert dataset[name].chunksizes["point"] == (8, 4)
    assert dataset.chunks["point"] == (8, 4)
    # Groups and labels, as of any dataset.
    assert dataset.groupby("shape").mean(...)["xi_x"].shape == (2,)
    assert dataset.sel(direction="y")["mode_derivative"].ndim == 4


def test_other_programs_open_the_store_from_its_consolidated_metadata(undisturbed):
    group = zarr.open_consolidated(undisturbed / "sweep.zarr", mode="r")
    assert not VARIABLES - set(group.array_keys())
    plain = xr.open_zarr(undisturbed / "sweep.zarr", consolidated=True, chunks=None)
    np.testing.assert_array_equal(plain["xi_x"], fp.open_sweep(undisturbed)["xi_x"])
    assert {"shape", "seed", "time", "provenance"} <= plain.coords.keys()
    assert load_spec(json.loads(plain.attrs["spec"])).difference(load_spec(SPEC)) is None


def test_a_shard_is_one_file_a_variable_and_nobody_elses(undisturbed):
    commits = [json.loads(path.read_text()) for path in sorted((undisturbed / "commits").iterdir())]
    assert [len(commit["points"]) for commit in commits] == [8, 4]
    files = [path for commit in commits for path in commit["files"]]
    assert len(files) == len(set(files)) == 2 * len(VARIABLES)
    for name in VARIABLES:
        present = {f"{name}/{path.name}" for path in (undisturbed / "sweep.zarr" / name).iterdir()}
        assert present == {path for path in files if path.startswith(f"{name}/")} | {f"{name}/zarr.json"}
    # Beside the shards, as many files for any number of points; nothing waits any more.
    assert not list((undisturbed / "staged").iterdir())
    assert len(content(undisturbed)) - len(files) - len(commits) < 60


def test_the_numbers_and_the_files_do_not_depend_on_the_order_of_the_work(undisturbed, client, tmp_path, small_shards):
    store = SweepStore.plan(tmp_path / "sweep", load_spec(SPEC), extend=False, over_budget=False)
    from fastpatch.sweeps import driver
    from fastpatch.sweeps.shards import remaining

    with store.files.in_use():
        store = store.write()
        for part in reversed(remaining(store)):
            driver.run(client, store, [part])
    assert content(tmp_path / "sweep") == content(undisturbed)


def test_a_finished_sweep_computes_nothing(copy, computed):
    before = content(copy)
    fp.sweep({**SPEC, "title": "another", "budget": 1.0}, copy)
    assert computed == []
    assert content(copy) == before


def flip(path):
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def remove(path):
    path.unlink()


SHARD = range(8, 12)  # the points of the second one
DAMAGE = {
    "sweep.zarr/xi_x/c.1.0.0": SHARD,
    "sweep.zarr/mode_derivative/c.1.0.0.0.0": SHARD,
    "sweep.zarr/provenance/c.1": SHARD,
    "commits/000001.json": SHARD,
    "sweep.zarr/zarr.json": [],
    "sweep.zarr/xi_x/zarr.json": [],
    "sweep.zarr/seed/c.0": [],
}


@pytest.mark.parametrize("harm", [flip, cut, remove])
@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_made_good_and_nothing_else_is_computed(name, harm, copy, client, computed):
    before = content(copy)
    ids = [point.id for point in SweepStore.open(copy).points]
    harm(copy / name)
    assert content(copy) != before
    fp.sweep(SPEC, copy, client)
    assert sorted(computed) == sorted(ids[index] for index in DAMAGE[name])
    assert content(copy) == before


def test_staged_points_are_not_computed_again_unless_they_are_damaged(
    undisturbed, client, computed, monkeypatch, tmp_path
):
    # A shard whose pack fails leaves its points staged.
    def full(*_):
        raise OutputError("the disk is full")

    monkeypatch.setattr("fastpatch.sweeps.store._SHARD_BYTES", 8 * 11 * 2 * 9 * 8)
    directory = tmp_path / "sweep"
    with monkeypatch.context() as patch:
        patch.setattr("fastpatch.sweeps.tasks.write_json", full)
        with pytest.raises(
            fp.errors.SweepError, match="2 of 2 shards could not be written, the first: the disk is full; "
        ):
            fp.sweep(SPEC, directory, client)
    assert not fp.open_sweep(directory)["finished"].any()
    files, points = SweepFiles(directory), SweepStore.open(directory).points
    assert len(computed) == COUNT == len(list(files.staging.iterdir()))
    flip(files.staged(points[1].id))
    cut(files.staged(points[6].id))
    remove(files.staged(points[11].id))
    # What processes leave behind that are killed while they write, and a point of a shard that is complete.
    (files.staging / ".fastpatch-0123456789abcdef.npz").write_bytes(b"half")
    (files.store / "xi_x" / ".fastpatch-fedcba9876543210.0").write_bytes(b"half")
    computed.clear()
    fp.sweep(SPEC, directory, client)
    assert sorted(computed) == sorted(points[index].id for index in (1, 6, 11))
    files.staged(points[2].id).write_bytes(b"no longer needed")
    fp.sweep(SPEC, directory, client)
    assert content(directory) == content(undisturbed)


LARGER = {
    **SPEC,
    "replicas": 2,
    "parameters": {"shape": [8, 9, 12], "steps": [15, 20, 40], "trajectories": [1, 2, 3], "solver": "ancestral"},
}


def test_an_extension_computes_what_is_new_and_keeps_the_rest(copy, client, computed, tmp_path):
    old = [point.id for point in SweepStore.open(copy).points]
    full = (copy / "sweep.zarr" / "xi_x" / "c.0.0.0").read_bytes()
    with pytest.raises(
        InvalidInputError,
        match=r'^shape is \["8x8", "9x9", "12x12"\] in the spec and .*; expected the same spec, or --',
    ):
        fp.sweep(LARGER, copy, client)
    extended = fp.sweep(LARGER, copy, client, extend=True).load()
    count = 2 * 3 * 3 * 3
    assert extended.sizes["point"] == count
    assert extended["id"].to_numpy()[: len(old)].tolist() == old
    assert len(computed) == len(set(computed)) == count - COUNT
    assert not set(computed) & set(old)
    # The full shards have not been touched.
    assert (copy / "sweep.zarr" / "xi_x" / "c.0.0.0").read_bytes() == full
    # Point for point what one sweep of the whole gives.
    whole = fp.sweep(LARGER, tmp_path / "whole", client).load()
    ordered = [d.isel(point=np.argsort(d["id"].to_numpy())) for d in (extended, whole)]
    xr.testing.assert_identical(*ordered)
    computed.clear()
    fp.sweep(LARGER, copy, client)
    assert computed == []
    with pytest.raises(InvalidInputError, match="expected an extension only to add points"):
        fp.sweep(SPEC, copy, client, extend=True)


def test_an_interrupted_extension_goes_on(copy, client, computed):
    spec = {**SPEC, "replicas": 2}
    store = SweepStore.plan(copy, load_spec(spec), extend=True, over_budget=False)
    from fastpatch.sweeps.shards import remaining

    with store.files.in_use():
        # Everything but the work itself: the points of the last shard are staged, their commit is gone.
        remaining(store.write())
    assert fp.open_sweep(copy)["finished"].sum() == 8
    dataset = fp.sweep(spec, copy, client)
    assert dataset["finished"].all()
    assert len(computed) == COUNT


REFUSED = {
    "other values": (
        {"parameters": {"shape": [8, 16]}},
        False,
        r'shape is \["8x8", "16x16"\] in the spec and \["8x8", "12x12"\] in .*copy; expected',
    ),
    "another seed": ({"seed": 1}, False, r"seed is 1 in the spec and 0 in .*copy; expected the same spec, or --extend"),
    "another seed, extending": (
        {"seed": 1},
        True,
        "seed is 1 in the spec and 0 in .*; expected an extension only to add",
    ),
    "other records, extending": ({"records": 9}, True, "records is 9 in the spec and 8 in .*; expected an extension"),
    "other shells, extending": ({"shells": 4}, True, "shells is 4 in the spec and 3 in .*; expected an extension only"),
    "fewer values, extending": (
        {"parameters": {**SPEC["parameters"], "shape": 12}},
        True,
        "the spec leaves out the point with shape = 8x8, steps = 15, trajectories = 1, solver = ancestral of .*; exp",
    ),
    "impossible points, extending": (
        {"parameters": {**SPEC["parameters"], "shape": [3, 8, 12]}},
        True,
        "the point with shape = 3x3, steps = 15, trajectories = 1, solver = ancestral is impossible: the lattice is",
    ),
    "beyond the budget, extending": ({"replicas": 1000, "budget": 1e6}, True, "beyond its budget of 1e.06; expected"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_changed_spec_is_refused_and_the_store_stays_as_it_is(name, copy, client, computed):
    change, extend, message = REFUSED[name]
    before = content(copy)
    with pytest.raises(InvalidInputError, match=message):
        fp.sweep({**SPEC, **change}, copy, client, extend=extend)
    assert computed == []
    assert content(copy) == before


def test_a_store_of_another_version_is_refused_and_can_be_read(copy, client):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "fastpatch": "0.0.7"}))
    with pytest.raises(
        ResultFileError, match=rf"copy was made by fastpatch 0\.0\.7 and this is {fp.__version__}; expected"
    ):
        fp.sweep(SPEC, copy, client)
    assert fp.open_sweep(copy)["finished"].all()
    (copy / "manifest.json").write_text(json.dumps({**manifest, "format": "fastpatch-sweep-9"}))
    for call in (lambda: fp.sweep(SPEC, copy, client), lambda: fp.open_sweep(copy)):
        with pytest.raises(ResultFileError, match="copy has format fastpatch-sweep-9; expected fastpatch-sweep-1"):
            call()


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"format": "fastpatch-sweep-1"}'])
def test_a_damaged_manifest_is_refused(text, copy, client):
    (copy / "manifest.json").write_text(text)
    for call in (lambda: fp.sweep(SPEC, copy, client), lambda: fp.open_sweep(copy)):
        with pytest.raises(ResultFileError, match=r"manifest\.json is damaged \(.*\); expected a sweep's manifest"):
            call()


def test_directories_without_a_sweep(copy, tmp_path, client):
    for directory in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ResultFileError, match=r"has no manifest\.json; expected the directory of a sweep"):
            fp.open_sweep(directory)
    (tmp_path / "killed" / "sweep.zarr").mkdir(parents=True)  # as left by a sweep that died before anything else
    assert fp.sweep({"parameters": {"shape": 8, "steps": 5, "solver": "ancestral"}}, tmp_path / "killed", client)[
        "finished"
    ].all()
    (copy / "manifest.json").unlink()
    with pytest.raises(ResultFileError, match=r"copy holds commits and no manifest\.json; expected a new or empty dir"):
        fp.sweep(SPEC, copy, client)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot be written \(.+\); expected a writable directory"):
        fp.sweep(SPEC, tmp_path / "file" / "inner", client)


def test_damaged_metadata_are_one_sentence_when_opened(copy):
    cut(copy / "sweep.zarr" / "zarr.json")
    with pytest.raises(ResultFileError, match=r"sweep\.zarr is damaged \(.*\); expected a sweep's store"):
        fp.open_sweep(copy)


def test_points_that_are_not_there_yet(copy):
    (copy / "commits" / "000001.json").unlink()
    for path in (copy / "sweep.zarr").glob("*/c.1*"):
        path.unlink()
    dataset = fp.open_sweep(copy)
    assert dataset["finished"].to_numpy().tolist() == [True] * 8 + [False] * 4
    with pytest.raises(InvalidInputError, match="point 9 is not finished; expected one that is"):
        point_result(dataset, 9)
    with pytest.raises(InvalidInputError, match="index is 12; expected at least 0 and at most 11"):
        point_result(dataset, 12)


def test_two_sweeps_at_once_in_one_directory_are_refused(copy, client):
    with (
        SweepFiles(copy).in_use(),
        pytest.raises(OutputError, match="copy is in use by another sweep; expected one at a time"),
    ):
        fp.sweep(SPEC, copy, client)
    fp.sweep(SPEC, copy, client)


def test_spec_and_store_survive_being_moved(undisturbed, tmp_path, computed):
    moved = shutil.copytree(undisturbed, tmp_path / "elsewhere" / "sweep")
    fp.sweep(SPEC, moved)
    assert computed == []


def test_points_of_an_extension_are_not_finished_before_they_are(copy, small_shards):
    wider = {**SPEC, "parameters": {**SPEC["parameters"], "shape": [*SPEC["parameters"]["shape"], 20]}}
    store = SweepStore.plan(copy, load_spec(wider), extend=True, over_budget=False)
    with store.files.in_use():
        store.write()
    found = fp.open_sweep(copy)
    np.testing.assert_array_equal(found["finished"], (found["step"] >= 0).any("record"))
    assert 0 < int(found["finished"].sum()) == COUNT < found.sizes["point"]


def test_a_plan_that_another_sweep_has_overtaken_is_made_anew(undisturbed, client, tmp_path, small_shards, monkeypatch):
    directory, in_use = tmp_path / "sweep", SweepFiles.in_use

    def late(self):
        # The other sweep runs to its end between this one's plan and its lock.
        monkeypatch.setattr(SweepFiles, "in_use", in_use)
        shutil.copytree(undisturbed, directory)
        return in_use(self)

    monkeypatch.setattr(SweepFiles, "in_use", late)
    with pytest.raises(InvalidInputError, match="expected the same spec, or --extend"):
        fp.sweep({**SPEC, "seed": 99}, directory, client)
    assert content(directory) == content(undisturbed)


def test_a_directory_of_somebody_else_and_a_folder_within(copy):
    (copy / "sweep.zarr" / ".ipynb_checkpoints").mkdir()
    before = content(copy)
    fp.sweep(SPEC, copy)
    assert content(copy) == before
    (copy / ".lock").mkdir()
    with pytest.raises(OutputError, match=r"\.lock cannot be locked \(Is a directory\); expected a directory of one's"):
        fp.sweep(SPEC, copy)


def test_shards_of_no_points_are_damage(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "shard_points": 0}))
    with pytest.raises(ResultFileError, match=r"manifest\.json is damaged \(shards of 0 points"):
        fp.open_sweep(copy)
