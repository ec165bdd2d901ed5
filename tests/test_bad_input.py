"""What models and runs refuse: the class of the error, what was found, what was expected.

Constructors, files and the command line are refused in their own test files.
"""

import numpy as np
import pytest

import fastpatch as fp
from fastpatch.errors import BackendUnavailableError, DtypeError, FastpatchError, InvalidInputError
from fastpatch.runs.backends import resolve_backend

MODEL = fp.PatchModel(fp.PatchDictionary.random())
X = np.zeros((8, 9))
METHODS = ("posterior_mean", "score", "drift", "mode_derivatives", "spectrum")


def field_with(value, index=(1, 2, 3)):
    x = np.zeros((2, 8, 9))
    x[index] = value
    return x


FIELDS = [
    (field_with(np.nan), InvalidInputError, r"x holds nan at index \(1, 2, 3\); expected finite values"),
    (field_with(np.inf, (0, 7, 8)), InvalidInputError, r"x holds inf at index \(0, 7, 8\); expected finite values"),
    (field_with(-np.inf, (0, 0, 0)).astype(np.float32), InvalidInputError, r"x holds -inf at index \(0, 0, 0\)"),
    (np.zeros((8, 9), dtype=int), DtypeError, "x has dtype int64; expected float32 or float64"),
    (np.zeros((8, 9), dtype=bool), DtypeError, "x has dtype bool; expected float32 or float64"),
    (np.zeros((8, 9), dtype=complex), DtypeError, "x has dtype complex128; expected float32 or float64"),
    (np.zeros((8, 9), dtype=np.float16), DtypeError, "x has dtype float16; expected float32 or float64"),
    (np.zeros((8, 9), dtype=object), DtypeError, "x has dtype object; expected float32 or float64"),
    (np.zeros(8), InvalidInputError, r"x has shape \(8,\); expected at least 2 axes"),
    (np.float64(1.0), InvalidInputError, r"x has shape \(\); expected at least 2 axes"),
    (np.zeros((3, 0, 8)), InvalidInputError, r"x has shape \(3, 0, 8\); expected .* the last 2 not empty"),
    (np.zeros((8, 4)), InvalidInputError, "the lattice is 8x4; expected sides of at least the pattern size 5"),
    (np.zeros((2, 3, 8)), InvalidInputError, "the lattice is 3x8; expected sides of at least the pattern size 5"),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("x", "error", "message"), FIELDS)
def test_fields(method, x, error, message):
    with pytest.raises(error, match=message):
        getattr(MODEL, method)(x, 1.0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("t", "error", "message"),
    [
        (0.0, InvalidInputError, r"t is 0.0; expected a diffusion time in \(0, inf\)"),
        (-1.0, InvalidInputError, r"t is -1.0; expected a diffusion time in \(0, inf\)"),
        (np.inf, InvalidInputError, "t is inf; expected a finite number"),
        (np.nan, InvalidInputError, "t is nan; expected a finite number"),
        (None, DtypeError, "t is None; expected a number"),
        (1j, DtypeError, "t is 1j; expected a number"),
        (np.array([1.0, 2.0]), DtypeError, r"t is array\(\[1., 2.\]\); expected a number"),
    ],
)
def test_times(method, t, error, message):
    for model in (MODEL, fp.EmpiricalModel(np.ones((1, 8, 9)))):
        with pytest.raises(error, match=message):
            getattr(model, method)(X, t)


@pytest.mark.parametrize(
    ("shells", "error", "message"),
    [
        ([], InvalidInputError, r"shells is \[\]; expected at least one shell number"),
        ([1, 1], InvalidInputError, r"shells is \[1, 1\]; expected .* each once"),
        ([0, -1], InvalidInputError, "a shell number is -1; expected at least 0"),
        ([0.5], DtypeError, "a shell number is 0.5; expected an integer"),
        (3, DtypeError, "shells is 3; expected a sequence of integers"),
    ],
)
def test_shells(shells, error, message):
    with pytest.raises(error, match=message):
        MODEL.mode_derivatives(X, 1.0, shells)


def test_diagonal_modes_need_a_square_lattice():
    with pytest.raises(
        InvalidInputError, match=r"x has lattice shape \(8, 9\); expected a square lattice for diagonal"
    ):
        MODEL.mode_derivatives(X, 1.0, diagonal=True)


RUNS = [
    ({"shape": (4, 80)}, InvalidInputError, "the lattice is 4x80; expected sides of at least the pattern size 5"),
    ({"shape": (80,)}, InvalidInputError, r"shape is \(80,\); expected two side lengths \(L1, L2\)"),
    ({"shape": (80,)}, InvalidInputError, r"shape is \(80,\); expected two side lengths \(L1, L2\)"),
    ({"shape": (8.0, 9)}, DtypeError, r"shape\[0\] is 8.0; expected an integer"),
    ({"shape": (8, 0)}, InvalidInputError, r"shape\[1\] is 0; expected at least 1"),
    ({"trajectories": 0}, InvalidInputError, "trajectories is 0; expected at least 1"),
    ({"trajectories": 1.5}, DtypeError, "trajectories is 1.5; expected an integer"),
    (
        {"times": [1.0, 1.0]},
        InvalidInputError,
        r"times\[0\] = 1.0 is followed by 1.0; expected a strictly decreasing grid",
    ),
    ({"times": [3.0, 1.0, 2.0]}, InvalidInputError, r"times\[1\] = 1.0 is followed by 2.0; expected a strictly decr"),
    ({"times": [1.0]}, InvalidInputError, r"times has shape \(1,\); expected one axis with at least two times"),
    ({"times": np.ones((2, 2))}, InvalidInputError, r"times has shape \(2, 2\); expected one axis"),
    ({"times": [1.0, 0.0]}, InvalidInputError, r"times\[1\] is 0.0; expected diffusion times in \(0, inf\)"),
    ({"times": [2.0, -1.0]}, InvalidInputError, r"times\[1\] is -1.0; expected diffusion times in \(0, inf\)"),
    ({"times": [np.inf, 1.0]}, InvalidInputError, r"times\[0\] is inf; expected diffusion times in \(0, inf\)"),
    ({"times": [2.0, np.nan]}, InvalidInputError, r"times\[1\] is nan; expected diffusion times in \(0, inf\)"),
    ({"times": "late"}, DtypeError, "times is 'late'; expected a sequence of numbers"),
    ({"times": [2.0, 1j]}, DtypeError, "times is .*; expected a sequence of numbers"),
    ({"seed": -1}, InvalidInputError, "seed is -1; expected at least 0 and at most 18446744073709551615"),
    ({"seed": 2**64}, InvalidInputError, "seed is 18446744073709551616; expected at least 0 and at most"),
    ({"seed": None}, DtypeError, "seed is None; expected an integer"),
    ({"first_trajectory": -1}, InvalidInputError, "first_trajectory is -1; expected at least 0"),
    (
        {"first_trajectory": 2**32 - 1},
        InvalidInputError,
        "first_trajectory is 4294967295; expected .* at most 4294967294",
    ),
    ({"dtype": "float16"}, DtypeError, "dtype is float16; expected float32 or float64"),
    ({"dtype": complex}, DtypeError, "dtype is complex128; expected float32 or float64"),
    ({"dtype": "double precision"}, DtypeError, "dtype is 'double precision'; expected 'float32' or 'float64'"),
    ({"backend": "gpu"}, InvalidInputError, "backend is 'gpu'; expected one of 'auto', 'cpu', 'cuda'"),
    ({"backend": None}, InvalidInputError, "backend is None; expected one of"),
    ({"times": [[1.0, 2.0], [3.0]]}, InvalidInputError, "times is ragged; expected an array"),
    ({"model": fp.PatchModel}, InvalidInputError, "model is the class PatchModel; expected an object with schedule"),
    ({"model": 42}, InvalidInputError, "model is a int; expected an object with schedule, score and drift"),
    ({"model": MODEL.dictionary}, InvalidInputError, "model is a PatchDictionary; expected an object with schedule"),
    (
        {"model": fp.EmpiricalModel(np.ones((1, 6, 7)))},
        InvalidInputError,
        "the lattice is 8x9; expected the prototypes' 6x7",
    ),
]


@pytest.mark.parametrize("call", [fp.simulate, fp.states], ids=["simulate", "states"])
@pytest.mark.parametrize(("change", "error", "message"), RUNS)
def test_runs(call, change, error, message):
    arguments = {"model": MODEL, "shape": (8, 9), "trajectories": 2, "times": [2.0, 1.5, 1.0], **change}
    with pytest.raises(error, match=message):
        call(**arguments)


@pytest.mark.parametrize("call", [fp.simulate, fp.states], ids=["simulate", "states"])
def test_complex_times(call):
    with pytest.raises(DtypeError, match="times"):
        call(MODEL, (8, 9), 2, np.array([2.0 + 1j, 1.0]))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"record_every": 0}, InvalidInputError, "record_every is 0; expected at least 1"),
        ({"record_every": 2.0}, DtypeError, "record_every is 2.0; expected an integer"),
        ({"snapshots": -1}, InvalidInputError, "snapshots is -1; expected at least 0"),
        ({"snapshots": 2.5}, DtypeError, "snapshots is 2.5; expected an integer"),
        (
            {"snapshots": [1.2, 3.0]},
            InvalidInputError,
            r"snapshots is \[1.2, 3.0\]; expected a number or times from 1.0 to",
        ),
        (
            {"snapshots": [np.nan]},
            InvalidInputError,
            r"snapshots is \[nan\]; expected a number or times from 1.0 to 2.0",
        ),
        ({"shells": range(3)}, InvalidInputError, r"shells is \[0, 1, 2\]; expected 0, 1, 2 and 3 among them"),
        ({"shells": "0123"}, DtypeError, "a shell number is '0'; expected an integer"),
        ({"diagonal": True}, InvalidInputError, r"shape is \(8, 9\); expected a square lattice for diagonal modes"),
    ],
)
def test_records(change, error, message):
    arguments = {"model": MODEL, "shape": (8, 9), "trajectories": 2, "times": [2.0, 1.5, 1.0], "snapshots": 2, **change}
    with pytest.raises(error, match=message):
        fp.simulate(**arguments)


def test_a_gpu_where_there_is_none():
    try:
        found = resolve_backend("cuda")
    except BackendUnavailableError as error:
        message = str(error)
    else:
        pytest.skip(f"backend 'cuda' is there and resolves to {found!r}")
    assert message.startswith("backend is 'cuda', but ")
    assert "; expected " in message
    for call in (fp.simulate, fp.states):
        with pytest.raises(BackendUnavailableError, match="backend is 'cuda'"):
            call(MODEL, (8, 9), 1, [2.0, 1.0], backend="cuda")


def test_errors_are_also_what_a_numpy_user_expects():
    expected = {
        InvalidInputError: ValueError,
        DtypeError: TypeError,
        BackendUnavailableError: RuntimeError,
        fp.errors.ResultFileError: OSError,
        fp.errors.OutputError: OSError,
    }
    for error, builtin in expected.items():
        assert issubclass(error, builtin)
        assert issubclass(error, FastpatchError)


def test_every_message_is_one_sentence_of_what_was_found_and_expected():
    calls = [lambda x=x: MODEL.score(x, 1.0) for x, *_ in FIELDS]
    calls += [
        lambda change=change: fp.states(**{"model": MODEL, "shape": (8, 9), "times": [2, 1], **change})
        for change, *_ in RUNS
    ]
    for call in calls:
        with pytest.raises(FastpatchError) as raised:
            call()
        message = str(raised.value)
        assert "; expected " in message
        assert "\n" not in message
        assert not message.endswith(".")


def test_numbers_of_another_byte_order_are_numbers():
    x = np.random.default_rng(0).standard_normal((8, 9))
    for kind in ("f4", "f8"):
        native = x.astype(f"={kind}")
        found = MODEL.score(native.astype(f">{kind}"), 1.0)
        np.testing.assert_array_equal(found, MODEL.score(native, 1.0))
        assert found.dtype == native.dtype
    assert fp.simulate(MODEL, (8, 9), 1, [2.0, 1.0], dtype=">f8").final.dtype == np.dtype("=f8")


def test_ragged_patterns_are_refused():
    with pytest.raises(InvalidInputError, match="patterns is ragged; expected an array"):
        fp.PatchDictionary([[[1, 2], [3]]])
    with pytest.raises(InvalidInputError, match="codes is ragged; expected an array"):
        fp.PatchDictionary.from_codes([[1, 2], [3]], 3)
    with pytest.raises(InvalidInputError, match="images is ragged; expected an array"):
        fp.PatchDictionary.from_images([np.ones((5, 5)), np.ones((6, 6))], 3)


def test_times_of_a_schedule_are_numbers():
    for method in ("alpha", "sigma2", "rate"):
        with pytest.raises(DtypeError, match=r"t has dtype str\d*; expected real numbers"):
            getattr(fp.VPSchedule(), method)("a")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"diagonal": "no"}, "diagonal is 'no'; expected True or False"),
        ({"snapshots": ["a"]}, r"snapshots has dtype str\d*; expected real numbers"),
    ],
)
def test_records_say_what_they_take(options, message):
    with pytest.raises(DtypeError, match=message):
        fp.simulate(MODEL, 8, 1, [2.0, 1.0], **options)


def test_masked_pixels_are_refused_and_classes_may_be_a_set():
    images = np.where(np.arange(4 * 36).reshape(4, 6, 6) % 5 < 2, 1.0, -1.0)
    masked = np.ma.masked_array(images, np.arange(144).reshape(4, 6, 6) == 40)
    with pytest.raises(InvalidInputError, match=r"images is masked at index \(1, 0, 4\); expected a value"):
        fp.PatchDictionary.from_images(masked, 3)
    labels = np.arange(4)
    found = fp.PatchDictionary.from_images(images, 3, labels=labels, classes={0, 1})
    assert found == fp.PatchDictionary.from_images(images[:2], 3)
    with pytest.raises(InvalidInputError, match=r"no image has a label among \[7\]; expected labels that occur"):
        fp.PatchDictionary.from_images(images, 3, labels=labels, classes=7)


def test_formulas_say_what_they_take():
    for formula in (
        lambda wrong: fp.theory.critical_time("score", dictionary=wrong),
        lambda wrong: fp.theory.dispersion(np.zeros(2), 1.0, dictionary=wrong),
    ):
        with pytest.raises(DtypeError, match="dictionary is a PatchModel; expected a PatchDictionary"):
            formula(MODEL)
    for formula in (fp.theory.critical_time, lambda condition, schedule: fp.theory.critical_times(schedule=schedule)):
        with pytest.raises(DtypeError, match="schedule is a float; expected a VPSchedule"):
            formula("score", schedule=0.5)
    assert fp.theory.projected_equilibrium(25.0, 400.0) == 0.0


def test_nothing_to_average_is_refused():
    for statistic in (fp.analysis.bootstrap_mean, fp.analysis.sign_flip_test):
        with pytest.raises(InvalidInputError, match=r"values have shape \(0, 5\); expected finite numbers"):
            statistic(np.ones((0, 5)))
