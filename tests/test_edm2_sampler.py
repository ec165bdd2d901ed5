"""The EDM sampler against flows known in closed form: order of convergence, seeds, batches, memory, records."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from edm2_cases import reference, reference_network, shared_file  # noqa: E402
from gaussian_denoiser import GaussianDenoiser, power_law  # noqa: E402

from fastpatch.errors import BackendUnavailableError, DtypeError, InvalidInputError  # noqa: E402
from fastpatch.neural import Pulse, constant, latents, sample, sigma_grid  # noqa: E402
from fastpatch.neural.edm2 import load  # noqa: E402
from fastpatch.neural.sampler import heun  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def net():
    return GaussianDenoiser(power_law(16), channels=2)


@pytest.fixture
def classes():
    means = np.random.default_rng(0).standard_normal((4, 1, 8, 8))
    return GaussianDenoiser(power_law(8), means=means)


class TestGrid:
    def test_is_the_papers(self):
        grid = sigma_grid()
        assert grid.shape == (33,)
        assert (grid[0], grid[31], grid[32]) == (80.0, 0.002, 0.0)
        assert (np.diff(grid) < 0.0).all()
        # Levels are equally spaced in sigma^(1/7).
        np.testing.assert_allclose(np.diff(grid[:-1] ** (1 / 7), n=2), 0.0, atol=1e-14)

    def test_follows_its_options(self):
        grid = sigma_grid(3, sigma_max=9.0, sigma_min=1.0, rho=2.0)
        np.testing.assert_allclose(grid, [9.0, 4.0, 1.0, 0.0], rtol=1e-15)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"steps": 1}, "steps is 1; expected at least 2"),
            ({"sigma_min": 0.0}, r"sigma_min 0\.0; expected sigma_max > sigma_min > 0"),
            ({"sigma_min": 90.0}, r"sigma_max is 80\.0 and sigma_min 90\.0; expected"),
            ({"rho": -1.0}, r"rho is -1\.0; expected a positive exponent"),
            ({"sigma_max": math.inf}, "sigma_max is inf; expected a finite number"),
        ],
    )
    def test_refuses_what_is_no_grid(self, options, message):
        with pytest.raises(InvalidInputError, match=message):
            sigma_grid(**options)


def test_heun_converges_with_the_second_order(net):
    rng = np.random.default_rng(1)
    start = torch.from_numpy(10.0 * rng.standard_normal((1, 2, 16, 16)))
    exact = net.solution(start.numpy(), 10.0, 0.05)
    errors = []
    for steps in (20, 40, 80):
        *_, (last, _), _ = heun(net, start, sigma_grid(steps, 10.0, 0.05))
        errors.append(np.abs(last.numpy() - exact).max())
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(orders, 2.0, atol=0.15)


def test_the_last_step_ends_in_the_denoised_image(net):
    grid = sigma_grid(6)
    pairs = list(heun(net, torch.ones(1, 2, 16, 16, dtype=torch.float64), grid))
    assert len(pairs) == len(grid)
    before, final = pairs[-2], pairs[-1]
    np.testing.assert_allclose(final[0], before[1], rtol=1e-12, atol=1e-14)
    assert final[0] is final[1]


def test_samples_are_those_of_the_exact_flow(net):
    noise = latents([3, 4, 5], net)
    found = sample(net, noise, steps=100)
    assert found.images.dtype == torch.float32
    expected = net.solution(80.0 * noise.numpy(), 80.0, 0.0)
    np.testing.assert_allclose(found.images, expected, rtol=3e-3, atol=1e-3)


def test_samples_of_the_reference_network_with_and_without_guidance():
    expected, net = reference(), reference_network()
    noise, labels = torch.from_numpy(expected["x"][:2]), expected["class_index"][:2]
    found = sample(net, noise, labels, steps=18)
    assert found.evaluations == 35
    np.testing.assert_allclose(found.images, expected["sample_unguided"][:2], rtol=1e-5, atol=1e-5)
    guided = sample(
        net, noise, labels, steps=18, guide=load(shared_file("edm2-tiny-guide.pkl")), guidance=constant(1.7 - 1.0)
    )
    assert (guided.evaluations, guided.guide_evaluations) == (35, 35)
    np.testing.assert_allclose(guided.images, expected["sample_guidance_1p7"][:2], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("steps", [2, 5, 32])
def test_evaluations_are_counted(net, steps):
    found = sample(net, latents([0, 1, 2], net), steps=steps, batch=2)
    assert (found.evaluations, found.guide_evaluations) == (2 * steps - 1, 0)
    assert [len(shape) for shape, _, _ in net.seen] == [4] * (2 * (2 * steps - 1))


def test_noise_of_an_image_depends_on_its_seed_alone(net):
    drawn = latents([7, 2**63, 7, 0], net)
    assert drawn.shape == (4, 2, 16, 16)
    np.testing.assert_array_equal(drawn[0], drawn[2])
    np.testing.assert_array_equal(drawn[1:2], latents([2**63], net))
    independent = drawn[[0, 1, 3]].reshape(6, -1).numpy()
    assert np.abs(np.corrcoef(independent) - np.eye(6)).max() < 5 / 16
    many = latents(range(40), net).numpy()
    assert abs(many.mean()) < 5 / math.sqrt(many.size)
    assert abs(many.std() - 1.0) < 5 / math.sqrt(2 * many.size)


def test_samples_agree_between_batches_and_equal_batches_give_equal_bits(net):
    noise = latents(range(5), net)
    whole = sample(net, noise, steps=8).images
    np.testing.assert_array_equal(sample(net, noise, steps=8).images, whole)
    for batch in (1, 2, 4):
        np.testing.assert_allclose(sample(net, noise, steps=8, batch=batch).images, whole, rtol=1e-4, atol=1e-5)
    assert {shape[0] for shape, _, _ in net.seen[-15 * 2 :]} == {4, 1}


def test_labels_stay_with_their_images(classes):
    noise = latents([0, 0, 0, 0, 0], classes)
    labels = [3, 0, 1, 3, 2]
    found = sample(classes, noise, labels, steps=8, batch=2).images
    alone = [sample(classes, noise[:1], [label], steps=8).images[0] for label in labels]
    np.testing.assert_allclose(found, torch.stack(alone), atol=1e-5)
    # Samples of one seed differ by as much as their classes do, in the modes that the data fix.
    np.testing.assert_allclose(found[0], found[3], atol=1e-5)
    assert (found[0] - found[1]).abs().max() > 0.1


def test_states_are_recorded_on_request(net):
    noise = latents([1, 2, 3], net)
    found = sample(net, noise, steps=9, record=[9, 0, 4, 4], batch=2)
    grid = sigma_grid(9)
    assert found.steps == (0, 4, 9)
    np.testing.assert_array_equal(found.sigmas, grid[[0, 4, 9]])
    assert found.states.shape == found.denoised.shape == (3, 3, 2, 16, 16)
    np.testing.assert_allclose(found.states[0], 80.0 * noise, rtol=1e-6)
    np.testing.assert_array_equal(found.states[2], found.images)
    np.testing.assert_array_equal(found.denoised[2], found.images)
    np.testing.assert_allclose(found.denoised[1], net(found.states[1], grid[4]), atol=1e-6)
    # The rest of the run from a recorded state is the run.
    *_, (rest, _) = heun(net, found.states[1], grid[4:])
    np.testing.assert_allclose(rest, found.images, atol=1e-5)
    assert sample(net, noise, steps=3).states.shape == (0, 3, 2, 16, 16)


class Crowded(GaussianDenoiser):
    """A denoiser for whose images there is memory for a few at once, and less from some call on."""

    def __init__(self, fits, later=None, call=math.inf):
        super().__init__(power_law(8))
        self.fits, self.later, self.call = fits, later, call

    def forward(self, x, sigma, class_labels=None):
        denoised = super().forward(x, sigma, class_labels)
        if len(x) > (self.fits if len(self.seen) < self.call else self.later):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return denoised


@pytest.mark.parametrize(("fits", "later", "call"), [(2, None, math.inf), (4, 1, 20), (3, 2, 7)])
def test_out_of_memory_halves_the_batch_and_goes_on(fits, later, call):
    net, roomy = Crowded(fits, later, call), GaussianDenoiser(power_law(8))
    noise = latents(range(7), net)
    found = sample(net, noise, steps=4, record=[2])
    expected = sample(roomy, noise, steps=4, record=[2])
    np.testing.assert_allclose(found.images, expected.images, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.states, expected.states, rtol=1e-4, atol=1e-5)
    assert found.evaluations == expected.evaluations == 7
    sizes = [shape[0] for shape, _, _ in net.seen]
    assert sizes[0] == 7
    assert sizes == sorted(sizes, reverse=True)


def test_memory_for_not_even_one_image():
    net = Crowded(0)
    with pytest.raises(BackendUnavailableError, match="not enough free memory for a single image; expected a smaller"):
        sample(net, latents(range(3), net), steps=2)


def test_the_bar_ends_full(net, capsys):
    sample(net, latents(range(3), net), steps=2, batch=2, progress=True)
    assert "100%" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"class_labels": [0, 4]}, InvalidInputError, "class label 4 is given; expected an index from 0 to 3"),
        ({"class_labels": [-1, 0]}, InvalidInputError, "class label -1 is given"),
        (
            {"class_labels": [0]},
            InvalidInputError,
            r"labels have shape \(1,\); expected \(2,\) indices or \(2, 4",
        ),
        ({"class_labels": [0.0, 1.0]}, DtypeError, "class labels have dtype float64; expected integers"),
        (
            {"noise": torch.zeros(2, 3, 8, 8)},
            InvalidInputError,
            r"noise has shape \(2, 3, 8, 8\); expected \(B, 1, 8",
        ),
        ({"noise": torch.zeros(0, 1, 8, 8)}, InvalidInputError, r"noise has shape \(0, 1, 8, 8\)"),
        ({"record": [33]}, InvalidInputError, "a recorded step is 33; expected at least 0 and at most 32"),
        ({"batch": 0}, InvalidInputError, "batch is 0; expected at least 1"),
        ({"device": "quantum"}, InvalidInputError, "device is 'quantum'; expected 'cpu'"),
        (
            {"guide": "zero-label", "guidance": Pulse(90.0, 5.0, 1.0)},
            InvalidInputError,
            r"the pulse acts at noise levels from 85 to 95; expected some of \[0.002, 80\], where the run is",
        ),
        ({"guidance": constant(1.0)}, InvalidInputError, "guidance is given without a guide; expected a network or"),
    ],
)
def test_refuses_unsuitable_input_before_any_evaluation(classes, arguments, error, message):
    with pytest.raises(error, match=message):
        sample(classes, **{"noise": torch.zeros(2, 1, 8, 8), **arguments})
    assert classes.seen == []


def test_a_network_without_labels_takes_none(net):
    with pytest.raises(InvalidInputError, match="class labels are given to a network without labels; expected none"):
        sample(net, torch.zeros(1, 2, 16, 16), [0])


def test_noise_of_numpy_weights_as_numbers_and_the_callers_autocast(net):
    noise = latents(range(2), net)
    expected = sample(net, noise, steps=3, guide=net, guidance=constant(0.5)).images
    found = sample(net, noise.numpy(), steps=3, guide=net, guidance=0.5).images
    with torch.autocast("cpu", torch.bfloat16):
        inside = sample(net, noise, steps=3, guide=net, guidance=0.5).images
    assert torch.equal(found, expected)
    assert torch.equal(inside, expected)
    with pytest.raises(DtypeError, match="noise has dtype int"):
        sample(net, np.zeros((2, *noise.shape[1:]), dtype=int), steps=3)


def test_steps_to_record_may_be_an_array(net):
    noise = latents(range(2), net)
    as_array, as_list = (sample(net, noise, steps=3, record=steps) for steps in (np.array([0]), [0]))
    assert as_array.steps == as_list.steps == (0,)
    assert torch.equal(as_array.states, as_list.states)
