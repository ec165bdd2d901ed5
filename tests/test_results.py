"""Result files: complete or absent, whatever happens while they are written; refused when they are not whole."""

import errno
import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest

import fastpatch as fp
from fastpatch.atomic import atomic_path, writable_directory
from fastpatch.errors import InvalidInputError, OutputError, ResultFileError
from fastpatch.results import provenance

ROOT_IGNORES_PERMISSIONS = hasattr(os, "geteuid") and os.geteuid() == 0


def listing(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def saved(small_result, tmp_path):
    path = tmp_path / "result.nc"
    fp.save(small_result, path)
    return path


def test_what_is_loaded_is_what_was_saved(small_result, saved):
    loaded = fp.load(saved)
    assert loaded.identical(small_result)
    for name in small_result.variables:
        assert loaded[name].dtype == small_result[name].dtype, name
    assert loaded["final"].dtype == np.float32
    assert np.isnan(small_result["xi_eq"]).any()
    assert provenance(loaded) == json.loads(small_result.attrs["provenance"])
    assert listing(saved.parent) == ["result.nc"]


def test_a_result_is_an_ordinary_netcdf_file(small_result, saved):
    import h5py

    with h5py.File(saved, "r") as file:
        np.testing.assert_array_equal(file["xi_x"][:], small_result["xi_x"])
        assert file["xi_x"].attrs["units"] == "lattice sites"
    # With the permissions of any other new file.
    other = saved.with_name("other")
    other.touch()
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_saving_again_replaces_the_file_and_a_loaded_one_can_be_replaced(small_result, saved):
    loaded = fp.load(saved)
    changed = loaded.assign_attrs(title="again")
    fp.save(changed, saved)
    assert fp.load(saved).attrs["title"] == "again"
    assert listing(saved.parent) == ["result.nc"]


@pytest.mark.parametrize("length", [0, 1, 8, 100, 2000, 0.3, 0.7, -1000, -1])
def test_truncated_files_are_refused(saved, length):
    whole = saved.read_bytes()
    cut = int(length * len(whole)) if isinstance(length, float) else length
    damaged = saved.with_name("damaged.nc")
    damaged.write_bytes(whole[:cut])
    with pytest.raises(
        ResultFileError, match=r"damaged.nc is truncated or not a NetCDF file \(.+\); expected a fastpatch"
    ):
        fp.load(damaged)


def test_other_files_are_refused(small_result, tmp_path):
    with pytest.raises(ResultFileError, match=r"absent\.nc is not a file; expected a result written by fastpatch"):
        fp.load(tmp_path / "absent.nc")
    with pytest.raises(ResultFileError, match="is not a file; expected a result"):
        fp.load(tmp_path)
    text = tmp_path / "text.nc"
    text.write_text("xi_x 3.4\n")
    with pytest.raises(ResultFileError, match=r"text\.nc is truncated or not a NetCDF file"):
        fp.load(text)
    for name, attributes in (("foreign.nc", {}), ("broken.nc", {"provenance": "{"}), ("bare.nc", {"provenance": "{}"})):
        small_result.drop_attrs(deep=False).assign_attrs(attributes).to_netcdf(tmp_path / name, engine="h5netcdf")
        with pytest.raises(
            ResultFileError, match=f"{name} carries no provenance; expected a result written by fastpatch"
        ):
            fp.load(tmp_path / name)


@pytest.mark.skipif(ROOT_IGNORES_PERMISSIONS, reason="root reads every file")
def test_unreadable_files_are_refused(saved):
    saved.chmod(0)
    with pytest.raises(ResultFileError, match=r"result\.nc"):
        fp.load(saved)


# A parent that is a file stops everybody, root included; /proc takes no directories.
NOWHERE = ["file/inner", "file/inner/deeper", "/proc/fastpatch"]


@pytest.mark.parametrize("where", NOWHERE)
def test_directories_that_cannot_be_written_are_refused(where, tmp_path, small_result):
    (tmp_path / "file").write_text("not a directory")
    directory = tmp_path / where
    with pytest.raises(OutputError, match=r"cannot be written \(.+\); expected a writable directory"):
        writable_directory(directory)
    with pytest.raises(OutputError, match=r"result.nc cannot be written \(.+\); expected a writable directory"):
        fp.save(small_result, directory / "result.nc")
    assert (tmp_path / "file").read_text() == "not a directory"


@pytest.mark.skipif(ROOT_IGNORES_PERMISSIONS, reason="root writes everywhere")
def test_write_protected_directories_are_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        writable_directory(tmp_path)


def test_a_writable_directory_is_made_and_left_empty(tmp_path):
    made = writable_directory(tmp_path / "runs" / "patch")
    assert made.is_dir()
    assert listing(made) == []
    assert writable_directory(made) == made


def throw(error):
    raise error


def replace_text(target, text, then):
    with atomic_path(target) as temporary:
        temporary.write_text(text)
        then()


def test_a_complete_block_replaces_and_a_failed_one_leaves_what_was_there(tmp_path):
    target = tmp_path / "data.txt"
    with atomic_path(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".txt"
        temporary.write_text("first")
        assert not target.exists()
    assert target.read_text() == "first"
    for error in (ValueError("a bug"), KeyboardInterrupt(), SystemExit(1), GeneratorExit()):
        with pytest.raises(type(error)):
            replace_text(target, "half", lambda error=error: throw(error))
        assert target.read_text() == "first"
        assert listing(tmp_path) == ["data.txt"]


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "the disk is full"), (errno.EIO, "Input/output error")],
)
@pytest.mark.parametrize("at", ["write", "fsync", "replace"])
def test_failing_writes_name_the_file_and_the_reason(number, reason, at, tmp_path, monkeypatch):
    def fail(*_, **__):
        throw(OSError(number, os.strerror(number)))

    target = tmp_path / "data.txt"
    target.write_text("first")
    if at == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    elif at == "replace":
        monkeypatch.setattr(type(target), "replace", fail)
    with pytest.raises(OutputError, match=rf"data\.txt could not be written: {reason}"):
        replace_text(target, "half", fail if at == "write" else lambda: None)
    monkeypatch.undo()
    assert target.read_text() == "first"
    assert listing(tmp_path) == ["data.txt"]


# What a full disk does to a process can only be seen in one of its own: HDF5 keeps unwritten data of a failed file and
# meets them again at exit.
WRITE_UNTIL_FULL = """
import sys
import fastpatch as fp
from fastpatch.analysis.figures import draw_snapshots, save_figure
from fastpatch.errors import OutputError

result, directory, names = fp.load(sys.argv[1]), sys.argv[2], sys.argv[3].split()
for limit in map(int, sys.argv[4:]):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
state = fp.State(result["final"].to_numpy().repeat(20, axis=0), 0, 1.0, "{}")
for name, write in {
    "result.nc": lambda path: fp.save(result, path),
    "state.npz": lambda path: state.save(path),
    "figure.png": lambda path: save_figure(draw_snapshots(result), path),
}.items():
    if name not in names:
        continue
    try:
        write(directory + "/" + name)
    except OutputError as error:
        print(error)
    else:
        print(name, "was written")
"""


def write_until_full(source, directory, names, *limit):
    return subprocess.run(
        [sys.executable, "-c", WRITE_UNTIL_FULL, str(source), str(directory), " ".join(names), *limit],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX systems do")
@pytest.mark.parametrize(
    "names",
    [
        ["result.nc"],
        ["state.npz", "figure.png"],
    ],
    ids=" ".join,
)
def test_writes_cut_short_by_the_system_leave_what_was_there(names, saved, tmp_path):
    directory = tmp_path / "small"
    directory.mkdir()
    for name in names:
        (directory / name).write_text("an earlier result")
    done = write_until_full(saved, directory, names, "9000")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{directory}/{name} could not be written: File too large" for name in names]
    assert listing(directory) == sorted(names)
    for name in names:
        assert (directory / name).read_text() == "an earlier result"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_full_disk_is_one_sentence_each_and_no_loss(saved, tmp_path):
    disk, names = tmp_path / "disk", ["result.nc", "state.npz", "figure.png"]
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", str(disk)], check=False).returncode != 0:
        pytest.skip("this system does not let root mount a small disk")
    try:
        done = write_until_full(saved, disk, names)
        left = listing(disk)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    expected = [f"{disk}/{name} could not be written: the disk is full" for name in names]
    assert done.stdout.splitlines() == expected
    assert (done.returncode, done.stderr) == (0, "")
    assert left == []


def test_a_dataset_that_could_not_be_loaded_is_not_saved(small_result, tmp_path):
    derived = small_result[["xi_x"]].drop_attrs()
    with pytest.raises(InvalidInputError, match="the dataset carries no provenance; expected a result"):
        fp.save(derived, tmp_path / "derived.nc")
    assert not list(tmp_path.iterdir())
    fp.save(derived.assign_attrs(small_result.attrs), tmp_path / "derived.nc")
    assert fp.load(tmp_path / "derived.nc").xi_x.equals(small_result.xi_x)
