"""Torch scores under the project's own dynamics: the patch machine written in torch must be the patch machine."""

import json
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from torch_patch import patch_score  # noqa: E402

import fastpatch as fp  # noqa: E402
from fastpatch.analysis import fourier_modes  # noqa: E402
from fastpatch.errors import BackendUnavailableError, InvalidInputError  # noqa: E402
from fastpatch.models import ModelWithModes  # noqa: E402
from fastpatch.neural import TorchModel  # noqa: E402
from fastpatch.neural.jvp import jacobian_products  # noqa: E402
from fastpatch.neural.unet import UNet, UNetModel, save_weights  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def dictionary():
    return fp.PatchDictionary.random(n_random=4, uniform_mass=0.8, size=3, seed=5)


def field(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def both(dictionary, schedule=None, **options):
    """The patch machine twice: its closed form, and its score in torch."""
    schedule = fp.VPSchedule() if schedule is None else schedule
    return fp.PatchModel(dictionary, schedule), TorchModel(patch_score(dictionary, schedule), schedule, **options)


@pytest.mark.parametrize("t", [8.0, 2.0, 0.4, 0.02])
@pytest.mark.parametrize("beta", [1.0, 2.5])
@pytest.mark.parametrize("method", ["jvp", "vjp"])
def test_exact_derivatives_are_the_closed_form(dictionary, method, t, beta):
    closed, network = both(dictionary, fp.VPSchedule(beta), dtype=torch.float64, method=method)
    x = field(2, 8, 10)
    np.testing.assert_allclose(network.score(x, t), closed.score(x, t), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(network.drift(x, t), closed.drift(x, t), rtol=1e-9, atol=1e-9)
    expected = closed.mode_derivatives(x, t, range(5))
    np.testing.assert_allclose(network.mode_derivatives(x, t, range(5)), expected, rtol=1e-9, atol=1e-9)


def test_derivatives_along_the_diagonal_and_in_any_order_of_shells(dictionary):
    closed, network = both(dictionary, dtype=torch.float64)
    x = field(8, 8)
    found = network.mode_derivatives(x, 1.5, [3, 0, 1], diagonal=True)
    assert found.shape == (3, 3)
    np.testing.assert_allclose(found, closed.mode_derivatives(x, 1.5, [3, 0, 1], diagonal=True), rtol=1e-9)


def test_finite_differences_agree_and_are_the_worse_in_float32(dictionary):
    t, x = 1.0, field(3, 8, 8)
    closed, exact = both(dictionary)
    _, paper = both(dictionary, method="finite-difference")
    _, fine = both(dictionary, method="finite-difference", dtype=torch.float64)
    expected = closed.mode_derivatives(x, t)
    np.testing.assert_allclose(fine.mode_derivatives(x, t), expected, rtol=1e-5, atol=1e-7)
    errors = [np.abs(model.mode_derivatives(x, t) - expected).max() for model in (exact, paper)]
    assert errors[0] < 1e-5
    assert 1e-4 < errors[1] < 0.3


def test_a_run_of_either_is_the_same_run(dictionary):
    times = fp.log_time_grid(t_max=10.0, t_min=0.01, steps=40)
    arguments = {"shape": (8, 8), "trajectories": 2, "times": times, "seed": 3, "dtype": "float64", "record_every": 9}
    closed, network = (fp.simulate(model, **arguments) for model in both(dictionary, dtype=torch.float64))
    for name in ("final", "snapshot", "xi_x", "mode_derivative", "magnetization"):
        np.testing.assert_allclose(network[name], closed[name], rtol=1e-6, atol=1e-8, err_msg=name)
    # A root of a slope, which near zero magnifies rounding and below it is NaN; so the squares are compared.
    squares = [np.nan_to_num(found["xi_eq"].to_numpy()) ** 2 for found in (network, closed)]
    np.testing.assert_allclose(*squares, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 4, 7, 1000])
def test_batches_of_any_size_give_the_same_products(dictionary, batch):
    _, whole = both(dictionary, dtype=torch.float64)
    _, chunked = both(dictionary, dtype=torch.float64, batch=batch)
    x, directions = field(5, 6, 7), fourier_modes((6, 7), range(4))[:, 0]
    expected = whole.jacobian_products(x, 0.7, directions)
    assert expected.shape == (5, 4, 6, 7)
    np.testing.assert_allclose(chunked.jacobian_products(x, 0.7, directions), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(chunked.score(x, 0.7), whole.score(x, 0.7), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("batch", "largest"), [(1, 1), (6, 6), (64, 12)])
def test_never_more_pairs_at_once_than_the_batch(batch, largest):
    seen = []

    class Recorded(torch.nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return x.sin()

    x, directions = torch.zeros(4, 2), torch.eye(3, 2)
    jacobian_products(Recorded(), x, directions, batch)
    tangents_at_once = min(3, batch)
    assert max(seen) * tangents_at_once == largest


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_transposed_products_of_a_score_that_is_no_gradient(batch):
    matrix = np.random.default_rng(4).standard_normal((12, 12))
    weights = torch.from_numpy(matrix)
    model = TorchModel(lambda x, t: (x.reshape(-1, 12) @ weights.T).view_as(x), dtype=torch.float64, batch=batch)
    x, v, each = field(2, 4, 3, 4), field(5, 3, 4), field(2, 4, 5, 3, 4)
    forward, back = -0.5 * np.eye(12) - matrix, -0.5 * np.eye(12) - matrix.T
    shared = np.broadcast_to((v.reshape(5, 12) @ forward.T).reshape(5, 3, 4), each.shape)
    np.testing.assert_allclose(model.jacobian_products(x, 1.0, v), shared, rtol=1e-10, atol=1e-12)
    shared = np.broadcast_to((v.reshape(5, 12) @ back.T).reshape(5, 3, 4), each.shape)
    np.testing.assert_allclose(model.transposed_products(x, 1.0, v), shared, rtol=1e-10, atol=1e-12)
    own = (each.reshape(-1, 12) @ back.T).reshape(each.shape)
    np.testing.assert_allclose(model.transposed_products(x, 1.0, each), own, rtol=1e-10, atol=1e-12)
    single = model.transposed_products(x[0, 0], 1.0, each[0, 0])
    np.testing.assert_allclose(single, own[0, 0], rtol=1e-10, atol=1e-12)


def test_derivatives_leave_no_graph_and_no_warning():
    net = torch.nn.Conv2d(1, 1, 3, padding=1)
    model = TorchModel(lambda x, t: net(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.mode_derivatives(field(6, 6), 1.0)
        TorchModel(lambda x, t: net(x), method="vjp").mode_derivatives(field(6, 6), 1.0)
    assert net.weight.grad is None


def test_is_a_model_with_modes(dictionary):
    _, network = both(dictionary)
    assert isinstance(network, ModelWithModes)
    described = json.loads(json.dumps(network.describe()))
    assert described["derivatives"] == "jvp"
    assert described["network_dtype"] == "float32"
    assert network.score(field(8, 8).astype(np.float32), 1.0).dtype == np.float32


def test_refuses_unsuitable_scores_and_options(dictionary):
    with pytest.raises(InvalidInputError, match="method is 'exact'; expected one of 'jvp', 'vjp', 'finite-d"):
        both(dictionary, method="exact")
    with pytest.raises(InvalidInputError, match="precision is 'float16'; expected 'float32' or 'bfloat16'"):
        both(dictionary, precision="float16")
    with pytest.raises(InvalidInputError, match=r"'bfloat16' and dtype is torch.float64; expected torch.float32"):
        both(dictionary, precision="bfloat16", dtype=torch.float64)
    with pytest.raises(BackendUnavailableError if not torch.cuda.is_available() else InvalidInputError):
        both(dictionary, device="cuda:99" if not torch.cuda.is_available() else "quantum")
    wrong = TorchModel(lambda x, t: x[..., :-1])
    with pytest.raises(InvalidInputError, match=r"score\(x, t\) has shape \(1, 1, 8, 7\); expected that of x"):
        wrong.score(field(8, 8), 1.0)
    _, network = both(dictionary)
    with pytest.raises(InvalidInputError, match=r"directions has shape \(3, 8, 7\); expected \(M, 8, 8\)"):
        network.jacobian_products(field(8, 8), 1.0, field(3, 8, 7))
    with pytest.raises(InvalidInputError, match=r"expected \(M, 8, 8\), or that for every one of \(2,\) fields"):
        network.transposed_products(field(2, 8, 8), 0.5, field(3, 4, 8, 8))
    with pytest.raises(InvalidInputError, match=r"directions has shape \(2, 3, 8, 8\); expected \(M, 8, 8\)$"):
        network.jacobian_products(field(2, 8, 8), 0.5, field(2, 3, 8, 8))
    with pytest.raises(InvalidInputError, match=r"t is 0\.0"):
        network.drift(field(8, 8), 0.0)


@pytest.fixture(scope="module")
def unet():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return UNet()


def test_unet_runs_like_any_model(unet, tmp_path):
    path = tmp_path / "unet.safetensors"
    save_weights(path, unet, {"variant": "grey", "epochs": 7})
    model = UNetModel.load(path)
    arguments = {"shape": (8, 12), "times": fp.log_time_grid(1.0, 0.01, steps=6), "seed": 1, "record_every": 3}
    pair = fp.simulate(model, trajectories=2, **arguments)
    again = fp.simulate(model, trajectories=2, **arguments)
    np.testing.assert_array_equal(pair["final"], again["final"])
    second = fp.simulate(model, trajectories=1, first_trajectory=1, **arguments)
    np.testing.assert_allclose(second["final"][0], pair["final"][1], rtol=1e-4, atol=1e-5)
    identity = json.loads(pair.attrs["provenance"])["run"]["model"]
    assert (identity["variant"], identity["epochs"]) == ("grey", 7)
    assert identity["weights_sha256"] == UNetModel(unet).describe()["weights_sha256"]
    assert identity["weights_sha256"] != UNetModel(UNet()).describe()["weights_sha256"]


@pytest.mark.parametrize("method", ["jvp", "vjp"])
def test_unet_derivative_is_that_of_the_drift_it_runs_on(unet, method):
    model = UNetModel(unet, method=method)
    x, t, step = field(1, 8, 8), 0.5, 1e-2
    v = fourier_modes((8, 8), [2])[0, 0]
    slope = (model.drift(x + step * v, t) - model.drift(x - step * v, t)) / (2.0 * step)
    np.testing.assert_allclose(model.mode_derivatives(x, t, [2])[0, 0, 0], (slope * v).sum(), rtol=1e-3)


@pytest.mark.parametrize("method", ["jvp", "vjp", "finite-difference"])
def test_a_score_is_told_a_float(method):
    told = []

    def score(x, t):
        told.append(t)
        return -x

    model = TorchModel(score, method=method)
    model.drift(field(8, 8), 1)
    model.mode_derivatives(field(8, 8), 1, [0])
    assert {type(t) for t in told} == {float}


def test_loading_leaves_the_callers_generator_alone():
    from fastpatch.neural.local import LocalModel

    torch.manual_seed(0)
    expected = torch.rand(1)
    for load in (UNetModel.shipped, LocalModel.shipped):
        torch.manual_seed(0)
        load()
        assert torch.equal(torch.rand(1), expected)


def test_a_run_goes_on_in_another_process_and_not_under_another_score(tmp_path):
    convolution = torch.nn.Conv2d(1, 1, 3, padding=1)
    model = TorchModel(lambda x, t: convolution(x))
    code = (
        "import json, torch\n"
        "from fastpatch.models.identity import model_identity\n"
        "from fastpatch.neural import TorchModel\n"
        "from fastpatch.neural.unet import UNetModel\n"
        "torch.manual_seed(0)\n"
        "net = torch.nn.Conv2d(1, 1, 3)\n"
        "print(json.dumps([model_identity(m) for m in (UNetModel.shipped(), TorchModel(lambda x, t: net(x)))]))\n"
    )
    found = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)]
    assert found[0] == found[1]
    run = {"shape": (8, 8), "trajectories": 1, "times": fp.log_time_grid(2.0, 0.5, 8), "checkpoint": tmp_path / "run"}
    first = fp.simulate(model, **run)
    np.testing.assert_array_equal(fp.simulate(model, **run)["final"], first["final"])
    with torch.no_grad():
        convolution.weight *= 2.0
    for other in (model, TorchModel(lambda x, t: -convolution(x))):
        with pytest.raises(InvalidInputError, match="belongs to another run"):
            fp.simulate(other, **run)


def test_unet_refuses_other_lattices_before_it_runs(unet):
    with pytest.raises(InvalidInputError, match="the lattice is 8x10; expected sides that are multiples of 4"):
        fp.simulate(UNetModel(unet), shape=(8, 10))


def test_threads_may_differentiate_at_the_same_time():
    from concurrent.futures import ThreadPoolExecutor

    def cubic(x):
        time.sleep(1e-3)  # lets the other threads in
        return x**3

    x, directions = torch.linspace(-1.0, 1.0, 6).reshape(2, 3), torch.eye(3)
    expected = 3.0 * x[:, None] ** 2 * directions
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: jacobian_products(cubic, x, directions, batch=1), range(12)):
            torch.testing.assert_close(found, expected)
