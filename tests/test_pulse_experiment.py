"""Sampling that shares what conditions have in common, survives being killed, and never makes a sample twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from edm2_cases import random_network  # noqa: E402
from pulse_cases import experiment, gaussian_network, settings  # noqa: E402

from fastpatch.errors import InvalidInputError, ResultFileError  # noqa: E402
from fastpatch.neural import GuidedDenoiser, Pulse, latents, sample  # noqa: E402
from fastpatch.neural.pulse import PulseExperiment  # noqa: E402
from fastpatch.neural.pulse.branches import Start, run_branches  # noqa: E402
from fastpatch.neural.pulse.treatment import UNGUIDED, Treatment  # noqa: E402
from fastpatch.neural.sampler import heun  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

STEPS = settings().steps
GRID = settings().grid
LABELS = [0, 2]


def unguided_states(net, steps):
    runs = sample(net, latents(range(2), net), LABELS, steps=STEPS, record=steps)
    return dict(zip(runs.steps, runs.states, strict=True))


def whole_run(net, guide, treatment, labels, rows):
    """The guided run from sigma_max on, in one batch."""
    inside = {float(sigma) for sigma in GRID[treatment.start : treatment.stop]}
    with torch.no_grad():
        denoise = GuidedDenoiser(
            net, torch.tensor(labels), guide=guide, band=treatment.band,
            guidance=lambda sigma: treatment.weight if sigma in inside else 0.0,
        )  # fmt: skip
        *_, (x, _) = heun(denoise, GRID[0] * latents(rows, net), GRID)
    return x


@pytest.mark.parametrize("treatment", [Treatment(0, 2, 3.0), Treatment(3, 5, 3.0, "low"), Treatment(5, 8, -1.0)])
@pytest.mark.parametrize("guide", ["zero-label", "network"])
def test_a_branch_is_the_whole_run_bit_for_bit(treatment, guide):
    net = random_network()
    guide = random_network(1, label_dim=0) if guide == "network" else guide
    states = unguided_states(net, [treatment.branch])
    starts = [Start(label, treatment, row) for row, label in enumerate(LABELS)]
    found, _ = run_branches(net, guide, starts, states, GRID, torch.device("cpu"))
    assert torch.equal(found, whole_run(net, guide, treatment, LABELS, range(2)))
    assert not torch.equal(found, whole_run(net, guide, UNGUIDED, LABELS, range(2)))


def test_branches_of_a_batch_keep_their_own_pulses():
    net = random_network()
    given = [
        Treatment(0, 2, 3.0), Treatment(1, 8, 0.5), Treatment(3, 5, 3.0, "low"), Treatment(3, 5, 3.0, "high"),
        Treatment(3, 5, -2.0), Treatment(7, 8, 4.0),
    ]  # fmt: skip
    rows = [0, 1, 1, 0, 0, 1]
    states = unguided_states(net, sorted({one.branch for one in given}))
    starts = [Start(LABELS[row], one, row) for one, row in zip(given, rows, strict=True)]
    found, _ = run_branches(net, "zero-label", starts, states, GRID, torch.device("cpu"))
    for image, one, row in zip(found, given, rows, strict=True):
        alone = whole_run(net, "zero-label", one, [LABELS[row]], [row])[0]
        np.testing.assert_allclose(image, alone, atol=1e-4 * float(alone.abs().max()))


class TestExperiment:
    @pytest.fixture
    def finished(self, tmp_path):
        net = gaussian_network()
        made = experiment(tmp_path / "samples", net)
        planned = made.remaining
        made.generate()
        return made, net, planned

    def test_costs_what_was_planned_and_nothing_once_it_is_finished(self, finished):
        made, net, planned = finished
        assert sum(shape[0] for shape, _, _ in net.seen) == sum(planned)
        without_label = sum(shape[0] for shape, _, labels in net.seen if labels is None)
        assert without_label == planned.guide
        net.seen.clear()
        again = experiment(made.store.directory, net)
        assert again.remaining == (0, 0)
        again.generate()
        assert not net.seen

    def test_costs_less_than_separate_runs(self, finished):
        made, _, planned = finished
        plan = made.plan
        runs = sum(len(given) for given in plan.conditions.values()) + len(plan.positions) * len(plan.trials)
        runs += sum(map(len, plan.kicks.values())) * len(plan.trials)
        assert planned.network < 0.8 * runs * (2 * STEPS - 1)

    def test_every_condition_has_the_sample_of_its_pulse(self, finished):
        made, net, _ = finished
        samples = {
            branch: image
            for block in made.plan.blocks
            for branches, images in made.finished(block)
            for branch, image in zip(branches, images, strict=True)
        }
        for name, given in made.plan.conditions.items():
            for place in (0, 5):
                trial, treatment = made.plan.trials[place], given[place]
                (expected,) = whole_run(net, "zero-label", treatment, [trial.class_label], [trial.seed])
                np.testing.assert_allclose(samples[place, treatment], expected, atol=1e-5, err_msg=name)

    def test_keeps_no_states_that_nothing_needs(self, finished):
        made, _, _ = finished
        for block in made.plan.blocks:
            assert block.steps
            assert made.store.unguided_steps(block.number) == ()

    def test_strips_show_the_runs_of_the_first_trials(self, finished):
        made, net, _ = finished
        strips = made.store.strips(2, STEPS)
        seeds, labels = [[one[at] for one in made.plan.trials[:2]] for at in (2, 0)]
        guided = sample(
            net, latents(seeds, net), labels, guide="zero-label", guidance=Pulse(1.5, 0.75, 3.0), steps=STEPS,
            record=strips.steps,
        )  # fmt: skip
        np.testing.assert_array_equal(strips.critical, guided.denoised.transpose(0, 1))
        assert strips.unguided.shape == strips.critical.shape == (2, len(strips.steps), 1, 8, 8)

    def test_another_experiment_is_refused_its_directory(self, finished):
        directory = finished[0].store.directory
        with pytest.raises(InvalidInputError, match=r"another experiment, with weight 3\.0 instead of 2\.0; expected"):
            experiment(directory, gaussian_network(), weight=2.0)
        with pytest.raises(InvalidInputError, match="with trials 3 instead of 4"):
            experiment(directory, gaussian_network(), trials=4)
        with pytest.raises(InvalidInputError, match="another experiment, with network"):
            experiment(directory, random_network())

    def test_two_networks_of_one_architecture_are_two(self, tmp_path):
        experiment(tmp_path, random_network(0))
        with pytest.raises(InvalidInputError, match=r"another experiment, with network .*weights_sha256"):
            experiment(tmp_path, random_network(1))

    def test_a_damaged_file_is_named_and_made_again_where_it_is_removed(self, finished):
        made, _, _ = finished
        path = made.store.directory / "branches-0000-0001.npz"
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ResultFileError, match=r"branches-0000-0001\.npz is not readable"):
            list(made.finished(made.plan.blocks[0]))
        path.unlink()
        assert sum(made.remaining) > 0
        made.generate()
        assert path.read_bytes() == whole
        assert made.remaining == (0, 0)

    def test_a_file_of_another_number_of_samples_is_refused(self, finished):
        made, _, _ = finished
        np.savez(made.store.directory / "branches-0000-0001.npz", images=np.zeros((1, 1, 8, 8), np.float32))
        with pytest.raises(
            ResultFileError,
            match=r"0001\.npz holds images of shape \(1, 1, 8, 8\) .*; expected \(4, 1, 8",
        ):
            list(made.finished(made.plan.blocks[0]))

    def test_samples_of_unknown_origin_are_refused(self, finished):
        directory = finished[0].store.directory
        (directory / "manifest.json").write_text("{")
        with pytest.raises(ResultFileError, match=r"manifest\.json is not readable"):
            experiment(directory)
        (directory / "manifest.json").unlink()
        with pytest.raises(ResultFileError, match=r"manifest\.json is missing beside samples"):
            experiment(directory)


def test_memory_that_runs_out_costs_no_sample(tmp_path, monkeypatch):
    from fastpatch.neural.pulse import branches

    whole, halves = (
        experiment(tmp_path / "whole", gaussian_network()),
        experiment(tmp_path / "halves", gaussian_network()),
    )
    whole.generate()
    real = branches.heun

    def small(denoise, x, sigmas):
        if len(x) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return real(denoise, x, sigmas)

    monkeypatch.setattr(branches, "heun", small)
    halves.generate()
    for block in whole.plan.blocks:
        for (_, one), (_, other) in zip(whole.finished(block), halves.finished(block), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_batches_at_once_are_the_same_to_the_bit(tmp_path):
    one, two = experiment(tmp_path / "one", batch=3), experiment(tmp_path / "two", batch=3)
    assert len(one.plan.blocks) > 1
    one.generate()
    torch.set_num_threads(2)  # the fixture sets back what it found
    two.generate()
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {path.name for path in (tmp_path / "two").iterdir()}
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_guidance_that_diverges_is_reported(tmp_path):
    with pytest.raises(InvalidInputError, match="a sample is not finite; expected a smaller weight"):
        experiment(tmp_path, gaussian_network(), weight=1e39, controls=()).generate()


def test_networks_that_cannot_be_guided_by_class(tmp_path):
    with pytest.raises(InvalidInputError, match="the network has no labels; expected a class-conditional one"):
        experiment(tmp_path, random_network(label_dim=0))
    with pytest.raises(InvalidInputError, match="class 3 is given; expected an index from 0 to 2"):
        experiment(tmp_path, classes=(0, 3))
    with pytest.raises(InvalidInputError, match="the guide is for images 1x16x16; expected those of the network"):
        PulseExperiment(random_network(), settings(), tmp_path, guide=random_network(img_resolution=16))
    assert not (tmp_path / "manifest.json").exists()


_JOB = """
import sys, time, torch
from pathlib import Path
torch.set_num_threads(1)
from edm2_cases import random_network
from pulse_cases import experiment
net = random_network()
net.register_forward_hook(lambda *_: time.sleep(0.01))
experiment(Path(sys.argv[1]), net, trials=2).generate()
"""


def test_killed_in_the_middle_it_goes_on_to_the_same_files(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    experiment(whole, trials=2).generate()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    job = subprocess.Popen([sys.executable, "-c", _JOB, str(killed)], env=environment)
    try:
        deadline = time.monotonic() + 60.0
        while len(list(killed.glob("branches-*.npz"))) < 4:
            assert job.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        job.send_signal(signal.SIGKILL)
        job.wait()
    before = {path: path.stat().st_mtime_ns for path in killed.glob("branches-*.npz")}
    assert 4 <= len(before) < len(list(whole.glob("branches-*.npz")))
    resumed = experiment(killed, trials=2)
    assert 0 < sum(resumed.remaining) < sum(experiment(tmp_path / "new", trials=2).remaining)
    resumed.generate()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    # What the killed process was writing may lie about under a name that nothing reads.
    names = {path.name for path in killed.iterdir() if not path.name.startswith(".")}
    assert names == {path.name for path in whole.iterdir() if not path.name.startswith(".")}
    for name in names:
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert json.loads((killed / "manifest.json").read_text())["identity"]["sigma_c"] == 1.5


_AFTER_KERNELS = """
import sys
from pathlib import Path
import numpy as np
import fastpatch as fp
from edm2_cases import random_network
from pulse_cases import experiment
if sys.argv[2] == "measured":
    fp.simulate(fp.PatchModel(fp.PatchDictionary.random()), (16, 16), 4, [2.0, 1.0])
    fp.analysis.correlation_length(np.random.default_rng(0).standard_normal((4, 16, 16)))
experiment(Path(sys.argv[1]), random_network(model_channels=32), trials=2).generate()
"""


def test_samples_do_not_depend_on_what_was_computed_before_them(tmp_path):
    """A resumed experiment has its critical level already, and runs none of the kernels that found it."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    for name in ("measured", "resumed"):
        command = [sys.executable, "-c", _AFTER_KERNELS, str(tmp_path / name), name]
        subprocess.run(command, env=environment, check=True, timeout=300)
    names = {path.name for path in (tmp_path / "measured").iterdir()}
    assert names == {path.name for path in (tmp_path / "resumed").iterdir()}
    for name in names:
        assert (tmp_path / "measured" / name).read_bytes() == (tmp_path / "resumed" / name).read_bytes(), name
