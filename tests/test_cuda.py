"""The CUDA kernels on tiny lattices, against the CPU's: in Numba's simulator, and on a GPU where there is one.

The simulator is chosen by an environment variable that Numba reads when it is imported, so one test here runs this
file again, with it set, in a process of its own. Tests of the whole package that are parametrised over backends run on
a GPU too; a few of them are small enough for the simulator and run there as well.
"""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from cases import DICTIONARIES, DTYPES, forward_field
from scipy.ndimage import gaussian_filter

import fastpatch as fp
from fastpatch.analysis import correlation_length
from fastpatch.errors import BackendUnavailableError, InvalidInputError
from fastpatch.noise import MAX_COUNT
from fastpatch.runs import backends
from fastpatch.runs.engines.choice import engine_of
from fastpatch.runs.setup import Setup

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
GRID = fp.log_time_grid()
TESTS = Path(__file__).parent

pytest.importorskip("numba_cuda", reason="the package numba-cuda, with its simulator, is not installed")


@pytest.fixture
def engine_module():
    """`fastpatch.runs.engines.cuda`, where its kernels can run."""
    try:
        backends.resolve_backend("cuda")
    except BackendUnavailableError as error:
        pytest.skip(f"{error}; in the simulator this test runs all the same")
    from fastpatch.runs.engines import cuda

    return cuda


def advance(backend, model, x, k=0, steps=1, recorded=(), seed=5, first=3, shells=(0, 1, 2, 3), diagonal=False):
    """The states after some steps from grid index k, with the states and derivatives recorded before some of them."""
    setup = Setup.of(
        model, x.shape[1:], len(x), GRID, seed, backend=backend, dtype=x.dtype, first_trajectory=first, shells=shells,
        diagonal=diagonal,
    )  # fmt: skip
    engine = engine_of(setup, x.copy(), k)
    records = np.full(steps, -1)
    records[list(recorded)] = np.arange(len(recorded))
    fields = np.empty((len(recorded), *x.shape), dtype=x.dtype)
    derivatives = engine.advance(records, fields)
    assert engine.step == k + steps
    return engine.x, fields, derivatives


def field(dictionary, shape, k, dtype, trajectories=2):
    return forward_field(dictionary, shape, GRID[k], batch=(trajectories,), seed=k).astype(dtype)


@pytest.mark.skipif(SIMULATED, reason="this is the simulator")
@pytest.mark.parametrize(
    "selection",
    [
        pytest.param(["test_cuda.py"], id="this file"),
        # The default tests hold the CPU's steps against explicit sums, and these here against the CPU's.
        pytest.param(
            ["test_integration.py", "-k", "test_a_step and cuda and (smallest or noise_rate)"],
            id="steps against explicit sums",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_in_the_simulator(selection):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", *selection]
    done = subprocess.run(
        command, cwd=TESTS, env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


@pytest.mark.parametrize(
    ("seed", "first"), [(0, 0), (2**32 + 5, 7), (2**64 - 1, MAX_COUNT - 2)], ids=["zeros", "high word", "last counters"]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_noise_is_the_cpus_bit_for_bit(engine_module, seed, first, dtype):
    # Without a data term a step is linear x + kick eta, each product rounded once: any other bit would be the noise's.
    model = fp.PatchModel(fp.PatchDictionary(np.zeros((1, 1, 1))))
    x = np.random.default_rng(0).normal(size=(2, 6, 5)).astype(dtype)
    found, expected = (advance(b, model, x, k=1990, steps=3, seed=seed, first=first)[0] for b in ("cuda", "cpu"))
    np.testing.assert_array_equal(found, expected)


def magnitude(dictionary, k):
    """How large the terms of lambda can be: 1/sigma2, and a gain times weights, patterns and centres."""
    alpha, sigma2 = np.exp(-GRID[k] / 2), -np.expm1(-GRID[k])
    terms = np.abs(dictionary.patterns).sum(axis=(1, 2)).max() * np.abs(dictionary.centers).max()
    return 1 / sigma2 + (alpha / sigma2) ** 2 * terms


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *product(sorted(DICTIONARIES), ["float64"]),
        *product(["18 patterns", "real-valued", "unbalanced flips"], ["float32"]),
    ],
)
def test_recorded_states_and_derivatives_are_the_cpus(engine_module, name, dtype):
    dictionary = DICTIONARIES[name]
    model, side = fp.PatchModel(dictionary), max(dictionary.size, 7)
    k, shape, diagonal = (700, (side, side + 2), False) if dtype == "float64" else (1300, (side, side), True)
    x = field(dictionary, shape, k, dtype)
    options = {"k": k, "recorded": [0], "diagonal": diagonal}
    (after, state, found), (here, _, expected) = (advance(b, model, x, **options) for b in ("cuda", "cpu"))
    np.testing.assert_array_equal(state[0], x)
    np.testing.assert_allclose(after, here, rtol=0, atol=8 * np.finfo(dtype).eps * np.abs(here).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=4 * np.finfo(dtype).eps * magnitude(dictionary, k))


@pytest.mark.parametrize("name", ["18 patterns", "unbalanced flips", "1x1"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_both_ways_to_the_dot_products_agree(engine_module, monkeypatch, name, dtype):
    dictionary = DICTIONARIES[name]
    model, k = fp.PatchModel(dictionary), 1100
    x = field(dictionary, (6, 7), k, dtype, trajectories=1)
    launch = engine_module.launch
    results = []
    for most in (launch._MAX_MULTIPLICATIONS, 0):
        monkeypatch.setattr(launch, "_MAX_MULTIPLICATIONS", most)
        launch.step_kernel.cache_clear()
        results.append(advance("cuda", model, x, k, recorded=[0]))
    launch.step_kernel.cache_clear()
    (compiled_in, _, first), (streamed, _, second) = results
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(streamed, compiled_in, rtol=0, atol=4 * eps * np.abs(compiled_in).max())
    np.testing.assert_allclose(second, first, rtol=0, atol=4 * eps * magnitude(dictionary, k))


def test_states_do_not_depend_on_how_the_lattice_is_cut(engine_module, monkeypatch):
    # Strips that end inside a quad of rows, blocks that end inside the lattice, more strips than one.
    model, k = fp.PatchModel(DICTIONARIES["3x3"]), 1200
    x = field(model.dictionary, (10, 9), k, "float32", trajectories=1)
    options = {"k": k, "steps": 2, "recorded": [0, 1], "shells": (0, 1)}
    expected = advance("cuda", model, x, **options)
    for tiling in ((4, 4), (5, 12), (16, 8)):
        chosen = engine_module.launch.Tiling(*tiling)
        monkeypatch.setattr(engine_module.launch.Tiling, "of", lambda *_, chosen=chosen: chosen)
        state, fields, derivatives = advance("cuda", model, x, **options)
        np.testing.assert_array_equal(state, expected[0])
        np.testing.assert_array_equal(fields, expected[1])
        np.testing.assert_allclose(derivatives, expected[2], rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "dtype", "sums", "width", "height"),
    [
        ((80, 80), "float32", 14, 96, 8),
        ((1024, 1024), "float32", 14, 128, 16),
        ((8192, 8192), "float32", 14, 128, 32),
        ((8192, 8192), "float64", 14, 128, 16),
        ((5, 3), "float32", 14, 32, 8),
        ((4096, 130), "float32", 0, 96, 16),
        ((4096, 4096), "float64", 600, 8, 4),
    ],
)
def test_blocks_fit_into_shared_memory_and_cover_the_lattice(engine_module, shape, dtype, sums, width, height):
    tiling = engine_module.launch.Tiling.of(shape, 5, np.dtype(dtype), sums)
    assert tiling == (width, height)
    assert tiling.shared_bytes(5, np.dtype(dtype), sums) <= 48 * 1024
    assert tiling.blocks(shape) * width * height >= shape[0] * shape[1]


class OutOfMemoryError(RuntimeError):
    """What a failed allocation on the device looks like."""

    def __str__(self):
        return "[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"


@pytest.fixture
def device_memory(engine_module, monkeypatch):
    """Lets single allocations be no larger than a given number of bytes, and counts the others."""
    from numba import cuda

    refused = []
    allocate = cuda.device_array

    def limit(most):
        def device_array(shape, dtype=np.float64, **options):
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            if size > most:
                refused.append(size)
                raise OutOfMemoryError
            return allocate(shape, dtype, **options)

        monkeypatch.setattr(engine_module.cuda, "device_array", device_array)
        return refused

    return limit


def test_trajectories_that_do_not_fit_take_turns(device_memory):
    model, k = fp.PatchModel(DICTIONARIES["3x3"]), 1200
    x = field(model.dictionary, (6, 5), k, "float32", trajectories=5)
    options = {"k": k, "steps": 3, "recorded": [0, 2], "shells": (0, 1)}
    expected = advance("cuda", model, x, **options)
    refused = device_memory(2 * 2 * x[0].nbytes)
    for found, whole in zip(advance("cuda", model, x, **options), expected, strict=True):
        np.testing.assert_array_equal(found, whole)
    assert len(refused) > 0


def test_simulate_gives_the_same_when_trajectories_take_turns(device_memory):
    model = fp.PatchModel(DICTIONARIES["1x1"])
    options = {"shape": (4, 5), "times": fp.log_time_grid(5.0, 0.5, 2), "trajectories": 3, "snapshots": 2}
    options["shells"] = range(4)
    expected = fp.simulate(model, backend="cuda", **options)
    refused = device_memory(2 * 2 * 4 * 5 * 4)
    found = fp.simulate(model, backend="cuda", **options)
    assert len(refused) > 0
    for name in ("xi_x", "mode_derivative", "snapshot", "final"):
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    np.testing.assert_allclose(found["magnetization"], expected["magnetization"], rtol=0, atol=1e-15)


def test_a_lattice_too_large_for_the_device_says_how_much_is_missing(device_memory):
    model = fp.PatchModel(DICTIONARIES["3x3"])
    device_memory(100)
    needed = 3 * 4 * 6 * 5 + 8 * 8
    with pytest.raises(
        BackendUnavailableError, match=rf"6x5 sites needs {needed} bytes of device memory and \S+ are free; expected"
    ):
        advance("cuda", model, np.zeros((2, 6, 5), dtype=np.float32), recorded=[0])


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 2), (5, 3), (8, 9), (4, 40)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_lengths_and_means_on_the_device_are_the_hosts(engine_module, shape, dtype):
    from numba import cuda

    from fastpatch.runs.engines.cuda_observables import Observer

    white = np.random.default_rng(1).normal(size=(2, *shape))
    smooth = np.stack([gaussian_filter(each, 1.5, mode="wrap") for each in white])
    uniform = np.stack([np.ones(shape), np.full(shape, -2.0)])
    fields = np.concatenate([white, smooth, uniform]).astype(dtype)
    # A zero of either sign counts as positive.
    fields[0, 0, 0], fields[1, 0, 0] = 0.0, -0.0
    lengths, means = Observer(len(fields), shape).observe(cuda.to_device(fields))
    np.testing.assert_array_equal(lengths, correlation_length(fields))
    np.testing.assert_allclose(means, fields.mean(axis=(1, 2), dtype=np.float64), rtol=1e-14, atol=1e-15)


def test_a_state_that_is_not_finite_is_refused_as_on_the_cpu(engine_module):
    model = fp.PatchModel(DICTIONARIES["1x1"])
    x = np.zeros((1, 3, 4), dtype=np.float32)
    x[0, 1, 2] = np.nan
    engine = engine_of(Setup.of(model, (3, 4), 1, GRID, backend="cuda", shells=range(4)), x)
    fields = engine.space(1)
    engine.advance(np.array([0]), fields)
    with pytest.raises(InvalidInputError, match="the states have diverged"):
        engine.observe(fields, [0])


def test_a_checkpoint_goes_from_one_backend_to_the_other(engine_module):
    model = fp.PatchModel(DICTIONARIES["18 patterns"])
    options = {"shape": (6, 7), "trajectories": 2, "times": fp.log_time_grid(5.0, 0.5, 4), "dtype": "float64"}
    undisturbed = list(fp.states(model, **options))
    for first, second in (("cpu", "cuda"), ("cuda", "cpu")):
        half = list(fp.states(model, backend=first, every=2, **options))[1]
        end = list(fp.states(model, backend=second, start=half, **options))[-1]
        assert (half.step, end.step) == (2, 4)
        np.testing.assert_allclose(end.x, undisturbed[-1].x, rtol=0, atol=1e-12)


def test_simulate_gives_the_cpus_dataset(engine_module):
    model = fp.PatchModel(DICTIONARIES["18 patterns"])
    options = {"shape": (8, 8), "times": fp.log_time_grid(5.0, 0.5, 3), "dtype": "float64", "shells": range(4)}
    options |= {"trajectories": 2, "record_every": 2, "diagonal": True, "seed": 2, "snapshots": 2}
    found, expected = (fp.simulate(model, backend=b, **options) for b in ("cuda", "cpu"))
    assert '"backend": "cuda"' in found.attrs["provenance"]
    for name in ("step", "time", "xi_x", "mode_derivative", "xi_eq", "magnetization", "snapshot", "final"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-10, atol=1e-10, err_msg=name)


def test_a_run_has_the_cpus_statistics(engine_module):
    # Seeds differ, so the runs are independent, and the rounding errors that the forming pattern amplifies in float32
    # cannot hide behind agreement bit for bit.
    if SIMULATED:
        pytest.skip("a run long enough for statistics takes hours in the simulator")
    model, count = fp.PatchModel(DICTIONARIES["18 patterns"]), 256
    options = {"shape": (24, 32), "trajectories": count, "times": fp.log_time_grid(steps=400), "record_every": 20}
    runs = [fp.simulate(model, seed=seed, backend=b, **options) for seed, b in ((1, "cuda"), (2, "cpu"))]
    for name in ("xi_x", "mode_derivative", "magnetization"):
        means, variances = zip(
            *((run[name].mean("trajectory"), run[name].var("trajectory")) for run in runs), strict=True
        )
        deviation = abs(means[0] - means[1]) / np.sqrt((variances[0] + variances[1]) / count + 1e-30)
        assert float(deviation.max()) < 5.5, name


def test_models_without_kernels_and_the_flow_are_refused(engine_module):
    with pytest.raises(
        BackendUnavailableError,
        match="no kernels for EmpiricalModel with solver",
    ):
        fp.simulate(fp.EmpiricalModel(fp.stripe_prototypes(8)), (8, 8), backend="cuda")
    with pytest.raises(BackendUnavailableError, match="with solver 'heun'; expected a PatchModel"):
        fp.simulate(fp.PatchModel(DICTIONARIES["3x3"]), (8, 8), backend="cuda", solver="heun")


@pytest.mark.skipif(SIMULATED, reason="the simulator needs nothing of all this")
def test_each_missing_piece_is_named_with_its_remedy(monkeypatch):
    from cuda import pathfinder
    from numba import cuda

    def refusal():
        with pytest.raises(BackendUnavailableError) as caught:
            backends.resolve_backend("cuda")
        message = str(caught.value)
        assert message.startswith("backend is 'cuda', but ")
        assert "; expected " in message
        assert "\n" not in message
        return message

    def no_library(name):
        raise pathfinder.DynamicLibNotFoundError(name)

    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "cuda_error", lambda: None)
    monkeypatch.setattr(pathfinder, "load_nvidia_dynamic_lib", lambda name: None)
    assert backends.resolve_backend("cuda") == "cuda"
    monkeypatch.setattr(pathfinder, "load_nvidia_dynamic_lib", no_library)
    assert (
        "compiler library nvvm is not installed; expected the CUDA toolkit or pip install 'fastpatch[cuda12]'"
        in refusal()
    )
    monkeypatch.setattr(cuda, "cuda_error", lambda: "Call to cuInit results in CUDA_ERROR_NO_DEVICE (100)")
    assert "driver finds no GPU; expected one in this machine" in refusal()
    monkeypatch.setattr(cuda, "cuda_error", lambda: "\nCUDA driver library cannot be found.\nInstall it.\n")
    assert "no working NVIDIA driver (CUDA driver library cannot be found. Install it); expected" in refusal()
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    assert "numba-cuda is not installed; expected it from pip install 'fastpatch[cuda12]'" in refusal()


@pytest.mark.skipif(SIMULATED, reason="the simulator changes nothing here")
def test_nothing_of_cuda_is_imported_for_a_run_on_the_cpu():
    program = (
        "import sys, fastpatch as fp\n"
        "fp.simulate(fp.PatchModel(fp.PatchDictionary.random()), (8, 8), 1, [2.0, 1.0], snapshots=0)\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('cuda', 'numba_cuda') or 'numba.cuda' in name])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def compiled(monkeypatch):
    """Compiles kernels for a GPU that need not be there, as far as PTX, the assembly that a driver takes."""
    if SIMULATED:
        pytest.skip("the simulator compiles nothing")
    from cuda import pathfinder
    from numba import cuda, types
    from numba.cuda import dispatcher

    for library in ("nvvm", "nvrtc"):
        try:
            pathfinder.load_nvidia_dynamic_lib(library)
        except pathfinder.DynamicLibNotFoundError:
            pytest.skip(f"the CUDA compiler library {library} is not installed")

    class Hopper:
        compute_capability = (9, 0)

    monkeypatch.setattr(dispatcher, "get_current_device", Hopper)

    def assembly(kernel, *arguments):
        signature = tuple(types.Tuple(each) if isinstance(each, tuple) else each for each in arguments)
        code, _ = cuda.compile(kernel.py_func, signature, device=False, cc=Hopper.compute_capability, abi="numba")
        return code

    return assembly


@pytest.mark.parametrize("record", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_steps_compile_into_registers(compiled, dtype, record):
    from numba import types

    from fastpatch.kernels.cuda.launch import step_kernel
    from fastpatch.kernels.cuda.step import streaming_step

    real, word, short = getattr(types, dtype), types.uint32, types.int32
    field = real[:, :, ::1]
    records = (short, real[:, :, :, ::1], types.float64[:, :, :, ::1], field, field, field, field) if record else ()
    common = (field, field, short, real[:, ::1], short, word, word, word, word, word)
    default = compiled(
        step_kernel(fp.PatchModel(fp.PatchDictionary.random()).plan, dtype, record), *common, (), records
    )
    large = compiled(streaming_step(5, real, record), *common, (field, real[::1], short), records)
    for code in (default, large):
        assert ("ex2.approx.ftz.f32" in code) == (dtype == "float32")
        # Where every loop over a local array unrolls, the array becomes registers; recording in float64 has too many.
        assert "__local_depot" not in code or (record and dtype == "float64")


def test_observables_compile(compiled):
    from numba import types

    from fastpatch.kernels.cuda.correlation import count_unequal, pack_signs
    from fastpatch.kernels.cuda.step import add_blocks

    word, real, whole = types.uint32, types.float64, types.int64
    for state in (types.float32, types.float64):
        assert "add.f64" in compiled(pack_signs, state[:, :, ::1], word[:, :, ::1], real[:, :, ::1])
    code = compiled(count_unequal, word[:, :, ::1], whole, whole, whole[:, :, :, ::1])
    assert code.count("popc.b32") == 16
    assert "__local_depot" not in code
    assert "add.f64" in compiled(add_blocks, real[:, :, :, ::1], real[:, :, ::1])
