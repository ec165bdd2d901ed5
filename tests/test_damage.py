"""Damaged, foreign and hostile files: refused in one sentence that names them, or read as they were written."""

import re
import sys

import h5py
import numpy as np
import pytest
import xarray as xr

import fastpatch as fp
from fastpatch.digests import append_digest, check_digest
from fastpatch.errors import DtypeError, FastpatchError, InvalidInputError, OutputError, ResultFileError
from fastpatch.memory import available_memory, require_memory
from fastpatch.messages import one_line, printable, reason
from fastpatch.results import provenance


def flipped(whole, bit):
    """The same bytes but for one bit."""
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def bits(whole, count=60):
    """Places all over a file, its first and last bytes among them."""
    drawn = np.random.default_rng(0).integers(0, 8 * len(whole), count)
    return sorted({*drawn.tolist(), 3, 8 * len(whole) - 2, 8 * (len(whole) - 82) + 1, 8 * (len(whole) - 40)})


@pytest.fixture
def saved(small_result, tmp_path):
    fp.save(small_result, tmp_path / "result.nc")
    return tmp_path / "result.nc"


MODEL = fp.PatchModel(fp.PatchDictionary.random())


def run(start=None, **changes):
    return fp.states(MODEL, **{"shape": (8, 9), "trajectories": 2, "times": [3.0, 2.0, 1.0], "start": start, **changes})


@pytest.fixture
def state():
    return next(run())


def outcomes(path, read, is_as_it_was):
    """The number of flipped bits that are refused, with the file's name; all others leave what was written."""
    whole, refused = path.read_bytes(), 0
    for bit in bits(whole):
        path.write_bytes(flipped(whole, bit))
        try:
            found = read(path)
        except ResultFileError as error:
            refused += path.name in str(error)
        else:
            assert is_as_it_was(found)
    return len(bits(whole)), refused


def test_a_result_with_a_flipped_bit_is_refused_or_as_it_was(saved, small_result):
    tried, refused = outcomes(saved, fp.load, small_result.identical)
    assert refused == tried


def test_a_state_with_a_flipped_bit_is_refused_or_as_it_was(state, tmp_path):
    state.save(tmp_path / "state.npz")

    def is_as_it_was(found):
        return (found.x == state.x).all() and found.identity == state.identity

    tried, refused = outcomes(tmp_path / "state.npz", fp.State.load, is_as_it_was)
    assert refused == tried


@pytest.mark.parametrize("cut", [1, 10, 64, 65])
def test_a_digest_that_is_cut_off_is_noticed(saved, cut):
    saved.write_bytes(saved.read_bytes()[:-cut])
    with pytest.raises(ResultFileError, match=r"result\.nc is truncated .* \(the digest at its end is not whole\)"):
        fp.load(saved)


def test_files_without_a_digest_are_accepted_and_those_with_one_are_read_by_other_programs(
    small_result, saved, tmp_path
):
    small_result.to_netcdf(tmp_path / "by_xarray.nc", engine="h5netcdf")
    check_digest(tmp_path / "by_xarray.nc")
    assert fp.load(tmp_path / "by_xarray.nc").identical(small_result)
    with xr.open_dataset(saved, engine="h5netcdf") as opened:
        assert opened.load().identical(small_result)
    np.savez(tmp_path / "a.npz", a=np.arange(3))
    append_digest(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as content:
        np.testing.assert_array_equal(content["a"], np.arange(3))
    # A zip comment by the letter of the format, so that strict readers take it.
    end = (tmp_path / "a.npz").read_bytes()
    assert int.from_bytes(end[-84:-82], "little") == 82


def external(path, other):
    other.write_bytes(np.arange(8.0).tobytes())
    with h5py.File(path, "r+") as file:
        file.create_dataset("secret", (8,), "f8", external=[(str(other), 0, 64)])


def linked(path, other):
    with h5py.File(other, "w") as file:
        file["secret"] = np.arange(8.0)
    with h5py.File(path, "r+") as file:
        file["secret"] = h5py.ExternalLink(str(other), "secret")


def soft(path, other):
    with h5py.File(path, "r+") as file:
        file["again"] = h5py.SoftLink("/xi_x")


def nested(path, other):
    with h5py.File(path, "r+") as file:
        file.create_group("inner")


@pytest.mark.parametrize("harm", [external, linked, soft, nested])
def test_a_result_that_leads_elsewhere_is_refused(harm, small_result, tmp_path):
    path = tmp_path / "result.nc"
    small_result.to_netcdf(path, engine="h5netcdf")
    harm(path, tmp_path / "other")
    with pytest.raises(ResultFileError, match=r"result\.nc (keeps|holds) .*; expected a result"):
        fp.load(path)


def test_a_virtual_dataset_is_refused(small_result, tmp_path):
    path, other = tmp_path / "result.nc", tmp_path / "other.h5"
    small_result.to_netcdf(path, engine="h5netcdf")
    with h5py.File(other, "w") as file:
        file["secret"] = np.arange(8.0)
    layout = h5py.VirtualLayout((8,), "f8")
    layout[:] = h5py.VirtualSource(str(other), "secret", (8,))
    with h5py.File(path, "r+") as file:
        file.create_virtual_dataset("secret", layout)
    with pytest.raises(ResultFileError, match="keeps 'secret' in another file; expected a result in one file"):
        fp.load(path)


def test_an_array_that_is_larger_than_the_memory_is_refused(small_result, tmp_path):
    path = tmp_path / "result.nc"
    small_result.to_netcdf(path, engine="h5netcdf")
    with h5py.File(path, "r+") as file:
        # A few hundred bytes on the disk.
        file.create_dataset("vast", (2**50,), "f8", chunks=(2**20,))
        file["vast"].make_scale("vast")
    with pytest.raises(ResultFileError, match=r"result\.nc takes 8\.\d+e\+03 TiB of memory; expected at most"):
        fp.load(path)


def test_what_netcdf_3_holds_is_a_result_too(small_result, tmp_path):
    small_result.to_netcdf(tmp_path / "classic.nc", engine="scipy", format="NETCDF3_64BIT")
    found = fp.load(tmp_path / "classic.nc")
    np.testing.assert_array_equal(found["xi_x"], small_result["xi_x"])
    assert provenance(found) == provenance(small_result)


def test_booleans_and_fill_values_are_stored(small_result, tmp_path):
    changed = small_result.assign_attrs(periodic=True, open=np.bool_(False), sides=[True, False])
    changed["time"].attrs["_FillValue"] = np.nan
    changed["xi_x"].attrs["binarized"] = np.array([True])
    fp.save(changed, tmp_path / "result.nc")
    found = fp.load(tmp_path / "result.nc")
    assert (found.attrs["periodic"], found.attrs["open"]) == (1, 0)
    assert found.attrs["sides"].tolist() == [1, 0]
    assert found["xi_x"].attrs["binarized"] == 1
    with h5py.File(tmp_path / "result.nc") as file:
        assert "_FillValue" not in file["time"].attrs
    # The caller's is as it was.
    assert changed.attrs["periodic"] is True
    assert "_FillValue" in changed["time"].attrs


@pytest.mark.parametrize("value", [{"a": 1}, object(), 2**80])
def test_attributes_that_no_file_can_hold_are_one_sentence(value, small_result, tmp_path):
    with pytest.raises(InvalidInputError, match=r"the dataset holds what NetCDF cannot .*; expected numbers, text and"):
        fp.save(small_result.assign_attrs(odd=value), tmp_path / "result.nc")
    assert not list(tmp_path.iterdir())


def test_stacked_dimensions_are_one_sentence(small_result, tmp_path):
    stacked = small_result.stack(run=("trajectory", "time")).assign_attrs(small_result.attrs)
    with pytest.raises(InvalidInputError, match=r"the dataset holds what NetCDF cannot .*; expected numbers, text and"):
        fp.save(stacked, tmp_path / "result.nc")


def test_results_go_to_zarr_without_a_warning(saved, tmp_path):
    pytest.importorskip("zarr", reason="zarr is not installed")
    found = fp.load(saved)
    found.to_zarr(tmp_path / "result.zarr", zarr_format=3, consolidated=False)
    again = xr.open_zarr(tmp_path / "result.zarr", consolidated=False)
    assert again["direction"].to_numpy().tolist() == found["direction"].to_numpy().tolist()


STORED = {
    "half a lattice": {"x": np.zeros((2, 4, 9), np.float32)},
    "another precision": {"x": np.zeros((2, 8, 9))},
    "no numbers": {"x": np.array(["a"])},
    "not finite": {"x": np.full((2, 8, 9), np.nan, np.float32)},
    "no step": {"step": np.int64(1000)},
    "before the first": {"step": np.int64(-1)},
    "between steps": {"step": np.float64(1.5)},
    "steps": {"step": np.array([0, 1])},
    "not its time": {"time": np.float64(17.0)},
    "no time": {"time": np.float64(np.nan)},
    "junk": {"identity": np.array("junk")},
    "a list": {"identity": np.array("[1, 2]")},
    "deep": {"identity": np.array("[" * 60000)},
    "many digits": {"identity": np.array("9" * 5000)},
    "no text": {"identity": np.int64(3)},
}


@pytest.mark.parametrize("kind", STORED)
def test_a_state_that_no_run_can_have_is_refused(kind, state, tmp_path):
    content = {"format": "fastpatch-state-1", "x": state.x, "step": 0, "time": state.time, "identity": state.identity}
    np.savez(tmp_path / "state.npz", **(content | STORED[kind]))
    with pytest.raises(FastpatchError) as raised:
        run(fp.State.load(tmp_path / "state.npz"))
    assert re.search(r"(state\.npz is|start (is|has|belongs)) .*; expected ", str(raised.value))


@pytest.mark.parametrize("start", ["path", 0, {}])
def test_a_start_that_is_no_state_is_refused(start):
    with pytest.raises(DtypeError, match=r"start is a (str|int|dict); expected a State, which State.load reads"):
        run(start)


@pytest.mark.parametrize("text", ["[" * 60000, "{", "9" * 5000, '{"run": ' * 50000])
def test_provenance_that_cannot_be_parsed_is_none(text, small_result):
    with pytest.raises(ResultFileError, match="carries no provenance; expected a result written by fastpatch"):
        provenance(small_result.assign_attrs(provenance=text))


UGLY = "red \x1b[31m alarm \x07\nsecond line\r\x9b hidden \u202e reversed \udcff"


@pytest.mark.parametrize("error", [InvalidInputError, ResultFileError, OutputError])
def test_messages_are_one_printable_bounded_line(error):
    message = str(error(UGLY + "; expected " + "x" * 10**6 + " to be short"))
    assert message.isprintable()
    assert message.startswith("red \\x1b[31m alarm \\x07 second line")
    assert message.endswith(" to be short")
    assert len(message) <= 600
    # With the exception's class and arguments as they were.
    assert error("short").args == ("short",)
    assert str(error("a message; expected another")) == "a message; expected another"


def test_what_is_printed_and_quoted():
    assert printable("two\nlines \x1b[2J") == "two\nlines \\x1b[2J"
    assert one_line("a\tb\n c") == "a b c"
    assert reason(RuntimeError("first\nframe #0: at::native\nframe #1")) == "first"
    assert reason(KeyError()) == "KeyError"


def test_a_key_of_a_spec_reaches_no_terminal(tmp_path):
    from fastpatch.sweeps import load_spec

    spec = tmp_path / "study.toml"
    spec.write_text('"a\\u001b]0;title\\u0007\\nb" = 1\n')
    with pytest.raises(InvalidInputError) as raised:
        load_spec(spec)
    assert str(raised.value).isprintable()


def test_memory_is_known_and_what_exceeds_it_is_named():
    if sys.platform == "linux":
        assert 2**20 < available_memory() < 2**50
    require_memory(1.0, "a byte takes")
    if available_memory() < 2**60:
        with pytest.raises(InvalidInputError, match=r"a lattice takes 1\.05e\+06 TiB of memory; expected at most .*iB"):
            require_memory(2.0**60, "a lattice takes")


def test_the_limit_of_the_process_counts(monkeypatch):
    resource = pytest.importorskip("resource", reason="limits are those of POSIX")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2**10, resource.RLIM_INFINITY))
    assert available_memory() <= 2**10
