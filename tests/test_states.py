"""A run as a generator: stopped, saved, loaded, taken up again, always with the bits of the undisturbed run."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from cases import DICTIONARIES, DTYPES

import fastpatch as fp
from fastpatch.errors import DtypeError, InvalidInputError, ResultFileError

GRID = fp.log_time_grid(10.0, steps=40)
MODELS = {
    "patch": fp.PatchModel(DICTIONARIES["18 patterns"]),
    "empirical": fp.EmpiricalModel(fp.stripe_prototypes(18)[:, :, :14]),
}


def run(model=MODELS["patch"], **options):
    return fp.states(model, **{"shape": (18, 14), "trajectories": 3, "times": GRID, "seed": 6, **options})


def test_states_go_from_white_noise_down_the_whole_grid():
    found = list(run())
    assert [state.step for state in found] == list(range(41))
    assert [state.time for state in found] == GRID.tolist()
    assert found[0].x.shape == (3, 18, 14)
    assert found[0].x.dtype == np.float32
    initial = next(run(shape=(300, 300))).x.astype(np.float64)
    assert abs(initial.mean()) < 5 / np.sqrt(initial.size)
    assert abs(initial.var() - 1) < 5 * np.sqrt(2 / initial.size)


@pytest.mark.parametrize("every", [1, 3, 40, 41, 1000])
def test_every_so_many_steps_and_always_the_last(every):
    whole = list(run())
    found = list(run(every=every))
    assert [state.step for state in found] == [*range(0, 40, every), 40]
    for state in found:
        np.testing.assert_array_equal(state.x, whole[state.step].x)


def test_states_are_those_of_simulate(backend, dtype):
    found = fp.simulate(MODELS["patch"], (18, 14), 3, GRID, seed=6, snapshots=41, dtype=dtype, backend=backend)[
        "snapshot"
    ].to_numpy()
    for state in run(dtype=dtype, backend=backend):
        np.testing.assert_array_equal(state.x, found[:, state.step])


def test_a_state_belongs_to_the_caller():
    undisturbed = [state.x for state in run()]
    for state, expected in zip(run(), undisturbed, strict=True):
        np.testing.assert_array_equal(state.x, expected)
        state.x[:] = np.nan


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize("stop", [0, 1, 17, 39, 40])
def test_stopping_saving_loading_and_resuming_gives_the_same_bits(name, stop, dtype, backend, tmp_path):
    if name == "empirical" and backend == "cuda":
        pytest.skip("the GPU has kernels for the patch model only")
    model = MODELS[name]
    whole = {state.step: state for state in run(model, dtype=dtype, backend=backend)}
    for state in run(model, dtype=dtype, backend=backend):
        if state.step == stop:
            state.save(tmp_path / "checkpoint.npz")
            break
    loaded = fp.State.load(tmp_path / "checkpoint.npz")
    assert (loaded.step, loaded.time, loaded.identity) == (stop, GRID[stop], whole[stop].identity)
    assert loaded.x.dtype == dtype
    rest = list(run(model, dtype=dtype, backend=backend, start=loaded, every=4))
    assert [state.step for state in rest] == sorted({stop, *range(-4 * (-(stop + 1) // 4), 41, 4), 40})
    for state in rest:
        np.testing.assert_array_equal(state.x, whole[state.step].x)
    # The checkpoint itself is left as it was.
    np.testing.assert_array_equal(loaded.x, whole[stop].x)


def test_resuming_with_another_number_of_threads(threads):
    threads(1)
    middle = next(state for state in run(trajectories=2) if state.step == 20)
    expected = list(run(trajectories=2))[-1]
    threads(2)
    *_, found = run(trajectories=2, start=middle)
    np.testing.assert_array_equal(found.x, expected.x)


def test_resuming_in_another_process(tmp_path):
    next(state for state in run() if state.step == 11).save(tmp_path / "half.npz")
    code = (
        "import sys, fastpatch as fp; start = fp.State.load(sys.argv[1])\n"
        "model = fp.PatchModel(fp.PatchDictionary.random())\n"
        "*_, last = fp.states(model, (18, 14), 3, fp.log_time_grid(10.0, steps=40), seed=6, start=start)\n"
        "last.save(sys.argv[2])"
    )
    paths = [str(tmp_path / name) for name in ("half.npz", "end.npz")]
    subprocess.run([sys.executable, "-c", code, *paths], check=True, timeout=300)
    np.testing.assert_array_equal(fp.State.load(paths[1]).x, list(run())[-1].x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 7}, "seed is 6 in the checkpoint and 7 here"),
        ({"shape": (18, 16)}, r"shape is \[18, 14\] in the checkpoint and \[18, 16\] here"),
        ({"trajectories": 2}, "trajectories is 3 in the checkpoint and 2 here"),
        ({"first_trajectory": 1}, "first_trajectory is 0 in the checkpoint and 1 here"),
        ({"dtype": "float64"}, "dtype is float32 in the checkpoint and float64 here"),
        ({"times": fp.log_time_grid(10.0, steps=41)}, "steps is 40 in the checkpoint and 41 here"),
        ({"times": np.where(np.arange(41) == 20, GRID * (1 + 1e-9), GRID)}, "\\w+_sha256 is .* in the checkpoint and"),
        (
            {"model": fp.PatchModel(fp.PatchDictionary.random(seed=1))},
            "dictionary of the model is .* in the checkpoint and",
        ),
        (
            {"model": fp.PatchModel(DICTIONARIES["18 patterns"], fp.VPSchedule(1.1))},
            "beta of the model is 1.0 in the checkpoint and 1.1 here",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_checkpoint_of_another_run_is_refused(change, message):
    start = next(run())
    with pytest.raises(InvalidInputError, match=rf"start belongs to another run \({message}.*; expected a state of"):
        run(**change, start=start)


def test_a_checkpoint_of_other_prototypes_is_refused():
    prototypes = fp.stripe_prototypes(18)[:, :, :14]
    others = np.where(np.random.default_rng(0).normal(size=prototypes.shape) > 0, 1.0, -1.0)
    start = next(run(fp.EmpiricalModel(prototypes)))
    with pytest.raises(InvalidInputError, match="start belongs to another run"):
        run(fp.EmpiricalModel(others), start=start)


def test_a_run_under_a_callable_rate_is_resumed_in_another_process(tmp_path):
    code = (
        "import sys, fastpatch as fp\n"
        "model = fp.PatchModel(fp.PatchDictionary.random(), fp.VPSchedule(lambda t: 1.0 + 0.1 * t))\n"
        "print(next(fp.states(model, (8, 8), 1, [2.0, 1.0])).identity)"
    )
    command = [sys.executable, "-c", code]
    found = {subprocess.run(command, check=True, timeout=300, capture_output=True).stdout for _ in range(2)}
    assert len(found) == 1


def test_identity_tells_the_physics_and_not_the_machine(threads):
    threads(1)
    first = next(run()).identity
    threads(2)
    assert next(run()).identity == first
    assert json.loads(first)["seed"] == 6
    assert next(run(backend="cpu")).identity == next(run(backend="auto")).identity


def test_errors_come_at_the_call_not_at_the_first_state():
    with pytest.raises(InvalidInputError, match="every is 0; expected at least 1"):
        run(every=0)
    with pytest.raises(DtypeError, match="dtype is float16"):
        run(dtype="float16")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoints") / "state.npz"
    next(run()).save(path)
    return path


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_truncated_checkpoints_are_refused(checkpoint, part, tmp_path):
    whole = checkpoint.read_bytes()
    damaged = tmp_path / "state.npz"
    damaged.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(
        ResultFileError, match=r"state.npz is not a readable checkpoint \(.+\); expected fastpatch-state"
    ):
        fp.State.load(damaged)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="lists the open files of a Linux process")
def test_a_damaged_checkpoint_is_closed_again(checkpoint, tmp_path):
    damaged = tmp_path / "state.npz"
    damaged.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(ResultFileError) as raised:
        fp.State.load(damaged)
    # The error, which keeps alive all that np.load left behind, is at hand until here.
    assert raised.value
    assert not any(os.path.realpath(f"/proc/self/fd/{n}") == str(damaged) for n in os.listdir("/proc/self/fd"))


def test_flipped_bits_in_the_fields_are_noticed(checkpoint, tmp_path):
    whole = bytearray(checkpoint.read_bytes())
    whole[whole.index(b"x.npy") + 400] ^= 0x10
    damaged = tmp_path / "state.npz"
    damaged.write_bytes(whole)
    with pytest.raises(ResultFileError, match=r"not a readable checkpoint \(its SHA-256 is not"):
        fp.State.load(damaged)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(ResultFileError, match=r"none.npz is not there; expected a checkpoint"):
        fp.State.load(tmp_path / "none.npz")
    with pytest.raises(ResultFileError, match="is no file; expected a checkpoint"):
        fp.State.load(tmp_path)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ResultFileError, match=r"other\.npz is not a readable checkpoint"):
        fp.State.load(tmp_path / "other.npz")
    np.savez(tmp_path / "newer.npz", format="fastpatch-state-99")
    with pytest.raises(ResultFileError, match="has format fastpatch-state-99; expected fastpatch-state-1"):
        fp.State.load(tmp_path / "newer.npz")


def test_a_plain_array_is_no_checkpoint(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(ResultFileError, match=r"array\.npy is not a readable checkpoint"):
        fp.State.load(tmp_path / "array.npy")


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (print, ("unpickled",))

    np.savez(tmp_path / "trap.npz", format="fastpatch-state-1", x=np.array([Trap()], dtype=object))
    with pytest.raises(ResultFileError, match="allow_pickle=False"):
        fp.State.load(tmp_path / "trap.npz")


def test_a_failed_save_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "state.npz"
    first, second = next(run()), next(run(seed=1))
    first.save(path)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(fp.errors.OutputError, match=r"state.npz could not be written: the disk is full"):
        second.save(path)
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == ["state.npz"]
    np.testing.assert_array_equal(fp.State.load(path).x, first.x)


def test_states_compare_by_identity_and_are_frozen():
    state = next(run())
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.step = 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_run_of_one_step(dtype):
    states = list(run(times=[1.0, 0.9], dtype=dtype))
    assert [state.step for state in states] == [0, 1]
