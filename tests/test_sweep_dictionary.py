"""Sweeps over a user's own dictionaries: files beside the spec, told apart by their digests, copied for the workers."""

import json
import shutil

import numpy as np
import pytest
from sweep_cases import content, threaded_client

import fastpatch as fp
from fastpatch.errors import DtypeError, InvalidInputError, ResultFileError
from fastpatch.sweeps import Point, load_spec, point_result
from fastpatch.sweeps.dictionaries import load_dictionary
from fastpatch.sweeps.store import SweepStore

STUDY = 'records = 4\nshells = 3\n[parameters]\nshape = "8x10"\nsteps = 15\nsolver = "ancestral"\n'


def stripes(path, prior=(0.4, 0.4, 0.2)):
    """Two stripes and their mean, 3 x 3, that no parameters of random patterns give."""
    rows = np.repeat([[1.0], [-1.0], [1.0]], 3, axis=1)
    np.savez(path, patterns=np.stack([rows, -rows, 0.0 * rows]), prior=np.array(prior))
    return path


@pytest.fixture(scope="module")
def client():
    with threaded_client() as client:
        yield client


@pytest.fixture
def study(tmp_path):
    """A spec in a folder of its own, which is not the working directory, with its patterns beside it."""
    folder = tmp_path / "specs"
    folder.mkdir()
    stripes(folder / "patterns.npz")
    spec = folder / "study.toml"
    spec.write_text(STUDY + 'dictionary = "patterns.npz"\n')
    return spec


def test_every_point_is_the_run_that_simulate_makes_of_the_file(study, client, tmp_path):
    dataset = fp.sweep(study, tmp_path / "out", client)
    dictionary = fp.PatchDictionary.load(study.parent / "patterns.npz")
    expected = fp.simulate(
        fp.PatchModel(dictionary), (8, 10), 4, fp.log_time_grid(steps=15), seed=int(dataset["seed"][0]), record_every=4,
        shells=range(4), solver="ancestral",
    )  # fmt: skip
    found = point_result(dataset, 0)
    np.testing.assert_array_equal(found["xi_x"], expected["xi_x"])
    np.testing.assert_array_equal(found["mode_derivative"], expected["mode_derivative"])
    assert json.loads(found.attrs["provenance"])["run"]["model"]["dictionary"] == dictionary.digest
    assert dataset["dictionary"].to_numpy().tolist() == [dictionary.digest]
    # What would say something untrue of these patterns is not there.
    assert not {"patch_size", "random_patterns", "sign_flips", "uniform_mass", "dictionary_seed"} & set(dataset.coords)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["specs"][0]["parameters"]["dictionary"] == dictionary.digest


def test_workers_need_the_directory_of_the_sweep_alone(study, client, tmp_path, monkeypatch):
    """The user's file is gone before the first point runs, and afterwards the sweep is moved."""
    simulate = Point.simulate

    def without_the_file(self, *arguments):
        load_dictionary.cache_clear()
        shutil.rmtree(study.parent, ignore_errors=True)
        return simulate(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Point, "simulate", without_the_file)
        kept = point_result(fp.sweep(study, tmp_path / "out", client), 0)
    assert not study.parent.exists()
    (tmp_path / "out").rename(tmp_path / "moved")
    load_dictionary.cache_clear()
    store = SweepStore.open(tmp_path / "moved")
    again = store.points[0].simulate(store.spec.recording, snapshots=2)
    np.testing.assert_array_equal(again["xi_x"], kept["xi_x"])


def test_an_edited_file_is_another_sweep(study, client, tmp_path):
    fp.sweep(study, tmp_path / "out", client)
    before, first = content(tmp_path / "out"), load_spec(study)
    stripes(study.parent / "patterns.npz", (0.3, 0.3, 0.4))
    with pytest.raises(
        InvalidInputError, match=r'^dictionary is "\w{64}" in .*study\.toml and "\w{64}" in .*out; expec'
    ):
        fp.sweep(study, tmp_path / "out", client)
    assert content(tmp_path / "out") == before
    points = [
        SweepStore.plan(tmp_path / "new", spec, extend=False, over_budget=False).points[0]
        for spec in (first, load_spec(study))
    ]
    assert points[0].id != points[1].id
    assert points[0].seed != points[1].seed


def test_a_file_that_is_edited_while_it_is_used_is_noticed(study, tmp_path):
    spec = load_spec(study)
    stripes(study.parent / "patterns.npz", (0.3, 0.3, 0.4))
    load_dictionary.cache_clear()
    with pytest.raises(
        InvalidInputError, match=r"patterns\.npz holds the dictionary \w{12}; expected \w{12}, as when it"
    ):
        fp.sweep(spec, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_copy_is_made_anew_and_nothing_is_computed(study, client, tmp_path, monkeypatch):
    fp.sweep(study, tmp_path / "out", client)
    before = content(tmp_path / "out")
    (copy,) = (tmp_path / "out" / "dictionaries").iterdir()
    monkeypatch.setattr(Point, "simulate", None)
    for harm in (copy.unlink, lambda: copy.write_bytes(b"damage"), lambda: stripes(copy, (0.3, 0.3, 0.4))):
        harm()
        load_dictionary.cache_clear()
        fp.sweep(study, tmp_path / "out", client)
        assert content(tmp_path / "out") == before


def test_several_dictionaries_are_values_like_others(study, client, tmp_path):
    fp.PatchDictionary.random(4).save(study.parent / "random.npz")
    spec = {
        "records": 4, "shells": 3, "replicas": 2,
        "parameters": {
            "dictionary": [str(study.parent / name) for name in ("patterns.npz", "random.npz")], "shape": [[8, 10], 12],
            "steps": 15, "solver": "ancestral",
        },
    }  # fmt: skip
    dataset = fp.sweep(spec, tmp_path / "out", client)
    assert dataset.sizes["point"] == 8
    assert set(dataset["shape"].to_numpy()) == {"8x10", "12x12"}
    assert set(dataset["sites"].to_numpy()) == {80, 144}
    assert dataset.groupby("dictionary").mean(...)["xi_x"].shape == (2,)
    again = load_spec(json.loads(json.dumps(load_spec(spec).canonical())))
    assert again.difference(load_spec(spec)) is None


REFUSED = {
    'dictionary = "patterns.npz"\nuniform_mass = 0.5': (
        8,
        "uniform_mass is set beside dictionary, which has patterns; exp",
    ),
    'patch_size = 3\ndictionary = "patterns.npz"': (7, "patch_size is set beside dictionary, which has patterns; exp"),
    'dictionary = "patterns.npz"\nsign_flips = true': (
        8,
        "sign_flips is set beside dictionary, which has patterns; exp",
    ),
    'dictionary = "patterns.npz"\n[parameters.random_patterns]\nlow = 1': (
        8,
        "random_patterns is set beside dictionary",
    ),
    'dictionary = "absent.npz"': (7, r"\S*absent\.npz is not there; expected an npz file with patterns"),
    'dictionary = "study.toml"': (7, r"\S*study\.toml is no dictionary of patterns \(.*\); expected an npz file"),
    "dictionary = 3": (7, "dictionary is 3; expected a string"),
    'dictionary = ""': (7, "dictionary is empty; expected the path of an npz file"),
    "dictionary = {low = 1, high = 2, count = 2}": (
        7,
        "dictionary is a range; expected the path of an npz file, or a l",
    ),
    'dictionary = ["patterns.npz", "../specs/patterns.npz"]': (7, "expected at least one value, each once"),
}


@pytest.mark.parametrize("lines", REFUSED)
def test_what_a_spec_may_not_say_of_a_dictionary_is_named_with_its_line(lines, study):
    line, message = REFUSED[lines]
    study.write_text(f"{STUDY}{lines}\n")
    expected = rf"^.*study\.toml, line {line}: .*{message}"
    with pytest.raises((InvalidInputError, DtypeError, ResultFileError), match=expected) as raised:
        load_spec(study)
    assert "\n" not in str(raised.value)


def test_a_digest_alone_is_no_dictionary(tmp_path):
    with pytest.raises(
        InvalidInputError, match=r"the patterns of the dictionary 0000.* are not at hand; expected the path"
    ):
        fp.sweep({"parameters": {"dictionary": "0" * 64}}, tmp_path / "out")
