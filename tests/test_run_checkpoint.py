"""A run that is interrupted goes on, equal bit for bit to an undisturbed one, for every solver and with all records."""

import signal
import threading
from functools import partial

import numpy as np
import pytest

import fastpatch as fp
from fastpatch.errors import BackendUnavailableError, InvalidInputError, ResultFileError
from fastpatch.runs import checkpoint, simulation

MODELS = {
    "patch": fp.PatchModel(fp.PatchDictionary.random(4, size=3)),
    "empirical": fp.EmpiricalModel(fp.stripe_prototypes(12)),
}
RUN = {
    "shape": 12, "trajectories": 2, "times": fp.log_time_grid(3.0, 0.1, 30), "seed": 2, "record_every": 4,
    "observables": ["xi_x", "mode_derivative", "xi_eq", "magnetization", "structure_factor"],
}  # fmt: skip


class Killed(BaseException):
    pass


def in_windows(size, die_after=None):
    def paced(start, stop, least=1):
        for begin in range(start, stop, size):
            if die_after is not None and begin > die_after:
                raise Killed
            yield range(begin, min(begin + size, stop))

    return paced


@pytest.mark.parametrize("solver", ["euler-maruyama", "ancestral", "heun"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("steps", [1, 9, 28])
def test_a_killed_run_goes_on_bit_for_bit(name, solver, steps, tmp_path, monkeypatch):
    model = MODELS[name]
    expected = fp.simulate(model, solver=solver, **RUN)
    monkeypatch.setattr(checkpoint, "_INTERVAL", 0.0)
    monkeypatch.setattr(simulation, "paced", in_windows(1, steps))
    file = tmp_path / "run.checkpoint"
    with pytest.raises(Killed):
        fp.simulate(model, solver=solver, checkpoint=file, **RUN)
    monkeypatch.setattr(simulation, "paced", in_windows(7))
    found = fp.simulate(model, solver=solver, checkpoint=file, **RUN)
    assert set(found) == set(expected)
    for variable in found:
        np.testing.assert_array_equal(found[variable], expected[variable], err_msg=str(variable))
    again = fp.simulate(model, solver=solver, checkpoint=file, **RUN)
    np.testing.assert_array_equal(again["final"], expected["final"])


def saved(tmp_path, **options):
    file = tmp_path / "run.checkpoint"
    fp.simulate(MODELS["patch"], checkpoint=file, **{**RUN, **options})
    return file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 3}, "seed is 2 in the checkpoint and 3 here"),
        ({"solver": "ancestral"}, "solver is euler-maruyama in the checkpoint and ancestral here"),
        ({"record_every": 5}, "records is"),
        ({"observables": ["xi_x"]}, "observables is"),
        ({"snapshots": 2}, "records is"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(change, message, tmp_path):
    file = saved(tmp_path)
    with pytest.raises(InvalidInputError, match=f"belongs to another run .*{message}.*, or the file removed"):
        fp.simulate(MODELS["patch"], checkpoint=file, **{**RUN, **change})


def test_a_checkpoint_of_an_edited_observable_is_refused(tmp_path):
    def rough(value):
        def rough(x, t):
            return np.full(len(x), value)

        return rough

    file = saved(tmp_path, observables=["xi_x", rough(1.0)])
    with pytest.raises(InvalidInputError, match=r"belongs to another run \(the function of observable 'rough' is"):
        fp.simulate(MODELS["patch"], checkpoint=file, **{**RUN, "observables": ["xi_x", rough(2.0)]})
    again = fp.simulate(MODELS["patch"], checkpoint=file, **{**RUN, "observables": ["xi_x", rough(1.0)]})
    assert (again["rough"] == 1.0).all()


def test_a_damaged_checkpoint_is_refused(tmp_path):
    file = saved(tmp_path)
    content = bytearray(file.read_bytes())
    for at in (5, len(content) // 2, len(content) - 100):
        damaged = content.copy()
        damaged[at] ^= 16
        file.write_bytes(damaged)
        with pytest.raises(ResultFileError, match="is no readable checkpoint"):
            fp.simulate(MODELS["patch"], checkpoint=file, **RUN)
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ResultFileError, match="is no readable checkpoint"):
        fp.simulate(MODELS["patch"], checkpoint=file, **RUN)


def test_an_observable_that_failed_is_not_asked_again(tmp_path, monkeypatch):
    calls = tmp_path / "calls"

    def fragile(x, t):
        with calls.open("a") as file:
            file.write(f"{t}\n")
        if t < 1.5:
            raise ZeroDivisionError
        return np.ones(len(x))

    options = {**RUN, "observables": ["xi_x", fragile, fp.Observable(lambda x, t: x.mean(axis=(1, 2)), "snapshots")]}
    with pytest.warns(fp.ObservableWarning, match="ZeroDivisionError"):
        expected = fp.simulate(MODELS["patch"], **options)
    asked = calls.read_text()
    calls.unlink()
    monkeypatch.setattr(checkpoint, "_INTERVAL", 0.0)
    monkeypatch.setattr(simulation, "paced", in_windows(1, 25))
    file = tmp_path / "run.checkpoint"
    with pytest.warns(fp.ObservableWarning, match="ZeroDivisionError"), pytest.raises(Killed):
        fp.simulate(MODELS["patch"], checkpoint=file, **options)
    monkeypatch.setattr(simulation, "paced", in_windows(7))
    found = fp.simulate(MODELS["patch"], checkpoint=file, **options)
    assert calls.read_text() == asked
    for name in ("fragile", "snapshots", "snapshot"):
        np.testing.assert_array_equal(found[name], expected[name])


def test_chunks_keep_their_states_elsewhere(tmp_path):
    pytest.importorskip("distributed", reason="dask is not installed")
    options = {**RUN, "observables": None, "backend": "dask"}
    with pytest.raises(BackendUnavailableError, match="writes no checkpoint; expected checkpoint=None"):
        fp.simulate(MODELS["patch"], checkpoint=tmp_path / "x", **options)


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="no signals can be raised here")
def test_ctrl_c_saves_and_the_same_call_goes_on(tmp_path, request):
    # A process in the background may have been started without any interest in interrupts.
    request.addfinalizer(partial(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT)))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Not a list, which would be another one afterwards, and the probe with it: a lock is the same in every state.
    asked = threading.Lock()

    def probe(x, t):
        if t < 1.0 and asked.acquire(blocking=False):
            signal.raise_signal(signal.SIGINT)
        return x.mean(axis=(1, 2))

    options = {**RUN, "observables": ["xi_x", probe]}
    file = tmp_path / "run.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        fp.simulate(MODELS["patch"], checkpoint=file, **options)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with np.load(file) as content:
        assert 0 < content["step"] < 30
    found, expected = (fp.simulate(MODELS["patch"], checkpoint=where, **options) for where in (file, None))
    for variable in ("final", "xi_x", "probe", "snapshot"):
        np.testing.assert_array_equal(found[variable], expected[variable])
