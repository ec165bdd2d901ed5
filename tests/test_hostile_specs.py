"""Specs and sweeps that ask for too much, nest too deeply, or try to run code: one sentence before anything is done."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from sweep_cases import SPEC, threaded_client

import fastpatch as fp
from fastpatch.errors import DtypeError, FastpatchError, InvalidInputError, ResultFileError
from fastpatch.sweeps import load_spec
from fastpatch.sweeps.toml_lines import line_of

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    directory = tmp_path_factory.mktemp("swept") / "sweep"
    with threaded_client() as client:
        fp.sweep({**SPEC, "parameters": {"shape": 8, "steps": 15, "solver": "ancestral"}}, directory, client)
    return directory


TEXTS = {
    "500 brackets": "title = " + "[" * 500 + "]" * 500,
    "60 000 brackets": "title = " + "[" * 60000,
    "dotted keys": ".".join(["a"] * 2000) + " = 1",
    "5000 digits": "seed = " + "9" * 5000,
    "escapes": 'title = "\x1b[31m"',
    "no text": "\x00",
    "vast count": "[parameters]\nshape = {low = 8, high = 100000000000, count = 100000000}",
    "vast integer": "points = 99999999999999999999\ndesign = 'random'",
    "vast replicas": "replicas = 9000000000000000000\n[parameters]\nshape = [8, 9]",
    "one trajectory too many": "[parameters]\ntrajectories = 9223372036854775808",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_spec_that_cannot_be_is_one_sentence(name, tmp_path):
    spec = tmp_path / "study.toml"
    spec.write_text(TEXTS[name])
    with pytest.raises(FastpatchError) as raised:
        fp.sweep(spec, tmp_path / "out", workers=1)
    assert re.search(r"; expected ", str(raised.value))
    assert str(raised.value).isprintable()
    assert not (tmp_path / "out").exists()


def test_a_spec_that_never_ends_is_not_read_to_its_end():
    with pytest.raises(ResultFileError, match="/dev/zero is longer than 1048576 bytes; expected the spec of a sweep"):
        load_spec("/dev/zero")


@pytest.mark.parametrize("lines", [20_000, 1])
def test_the_line_is_found_below_any_number_of_comments(lines, tmp_path):
    spec = tmp_path / "study.toml"
    spec.write_text("# nothing\n" * lines + "\n[parameters]\nshape = 8\nbeta = [\n  1.0,\n  'x',\n]\n")
    with pytest.raises(DtypeError, match=rf"study\.toml, line {lines + 4}: beta is 'x'; expected a number"):
        load_spec(spec)


def test_a_line_that_takes_too_long_to_find_is_left_out(monkeypatch):
    monkeypatch.setattr("fastpatch.sweeps.toml_lines._MOST", 100)
    assert line_of("a = 1\n" * 1 + "# comment\n" * 100 + "b = 2\n", ("b",)) is None


EQUIVALENT = {
    "shape": (np.array([8, 12]), [8, 12]),
    "steps": (range(15, 40, 5), [15, 20, 25, 30, 35]),
    "trajectories": (np.int32(2), 2),
    "beta": (np.float32(0.5), 0.5),
    "uniform_mass": ((np.float64(0.5), 0.25), [0.5, 0.25]),
    "sign_flips": (np.bool_(False), False),
    "dtype": (np.array(["float64"]), ["float64"]),
    "t_min": (np.array(0.01), 0.01),
    "random_patterns": (
        {"low": np.int64(2), "high": np.uint8(4), "count": np.int16(3)},
        {"low": 2, "high": 4, "count": 3},
    ),
}


@pytest.mark.parametrize("name", EQUIVALENT)
def test_a_mapping_may_hold_numpys_numbers_arrays_and_ranges(name):
    given, plain = EQUIVALENT[name]
    found, expected = (load_spec({"parameters": {name: value}, "seed": np.uint64(3)}) for value in (given, plain))
    assert found == expected
    assert json.loads(json.dumps(found.canonical())) == found.canonical()


ODD = {
    "two axes": np.zeros((2, 2)),
    "masked": np.ma.masked_array([1, 2], [0, 1]),
    "endless": range(10**9),
    "set": {1, 2},
    "complex": 1j,
    "digits": 10**5000,
}


@pytest.mark.parametrize("name", ODD)
def test_a_mapping_may_not_hold_anything_else(name):
    with pytest.raises((InvalidInputError, DtypeError)) as raised:
        load_spec({"parameters": {"shape": ODD[name]}})
    assert "; expected" in str(raised.value)


def test_a_commit_that_lists_a_device_is_no_commit(swept, tmp_path):
    commit = swept / "commits" / "000000.json"
    record = json.loads(commit.read_text())
    for path in ("/dev/zero", "../manifest.json", "xi_x/../../manifest.json"):
        commit.write_text(json.dumps({**record, "files": {path: "0" * 64}}))
        with threaded_client() as client:
            fp.sweep({**SPEC, "parameters": {"shape": 8, "steps": 15, "solver": "ancestral"}}, swept, client)
        assert json.loads(commit.read_text()) == record


@pytest.mark.parametrize("text", ["[" * 60000, '{"format": ' + "9" * 5000 + "}", "{" * 400, "null", '{"specs": 3}'])
def test_a_manifest_that_cannot_be_parsed_is_damaged(text, swept, tmp_path):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ResultFileError, match=r"manifest\.json is damaged|has format"):
        fp.open_sweep(tmp_path)


def test_a_store_of_version_2_is_refused(swept, tmp_path):
    """It may name filters that unpickle."""
    import shutil

    import zarr

    copy = shutil.copytree(swept, tmp_path / "copy")
    shutil.rmtree(copy / "sweep.zarr")
    group = zarr.open_group(copy / "sweep.zarr", mode="w", zarr_format=2)
    array = group.create_array("xi_x", shape=(1, 1, 9), chunks=(1, 1, 9), dtype="f8")
    array.attrs["_ARRAY_DIMENSIONS"] = ["point", "trajectory", "record"]
    zarr.consolidate_metadata(group.store)
    with pytest.raises(ResultFileError, match=r"sweep\.zarr is damaged"):
        fp.open_sweep(copy)


def test_the_versions_that_are_allowed_are_those_that_are_safe():
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    asked = [
        *project["dependencies"],
        *(entry for group in project["optional-dependencies"].values() for entry in group),
    ]
    floors = {"numcodecs": (0, 16, 6), "torch": (2, 10)}
    for name, floor in floors.items():
        found = [re.fullmatch(rf"{name}>=([\d.]+)", entry) for entry in asked if re.match(rf"{name}\b", entry)]
        assert found
        for match in found:
            assert match is not None
            assert tuple(map(int, match[1].split("."))) >= floor


GUARDLESS = (
    "import fastpatch as fp\n"
    'fp.sweep({"parameters": {"shape": 8, "steps": 5, "solver": "ancestral"}}, OUT, workers=1)\n'
)


def told(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **options)
    assert done.returncode != 0
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits are those of POSIX")
def test_workers_that_do_not_start_are_told_the_true_reason(tmp_path):
    script = tmp_path / "study.py"
    script.write_text(GUARDLESS.replace("OUT", repr(str(tmp_path / "out"))))
    assert 'without `if __name__ == "__main__"`' in told([sys.executable, str(script)])
    assert "<stdin> is no" in told([sys.executable], input=script.read_text())
    guarded = tmp_path / "guarded.py"
    text = script.read_text().replace("fp.sweep", 'if __name__ == "__main__":\n    fp.sweep')
    guarded.write_text(f"import resource\nimport fastpatch.sweeps.cluster\n{text}")
    limit = "resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))"
    guarded.write_text(guarded.read_text().replace("    fp.sweep", f"    {limit}\n    fp.sweep"))
    assert "Too many open files" in told([sys.executable, str(guarded)])
    failing = tmp_path / "failing.py"
    failing.write_text(
        text.replace("if __name__", 'if __name__ == "__mp_main__":\n    raise ImportError("a library")\nif __name__')
    )
    assert "(ImportError: a library)" in told([sys.executable, str(failing)])
