"""``fastpatch network``: a directory saved by diffusers to window and figures, and one sentence for each mistake."""

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("torch", reason="torch is not installed")
diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")

import torch  # noqa: E402
from diffusers_cases import network  # noqa: E402

import fastpatch as fp  # noqa: E402
from fastpatch.cli import app  # noqa: E402
from fastpatch.errors import FastpatchError  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")


SOURCE = """
import numpy as np
from fastpatch.neural import GaussianDenoiser

number = 3

def net():
    from source_neighbour import MEANS

    means = np.array(MEANS)
    return GaussianDenoiser(means, np.broadcast_to(0.01 * np.eye(16), (2, 16, 16)))

def broken():
    return 1 / 0
"""


def run(*arguments):
    return CliRunner().invoke(app, ["network", *map(str, arguments)])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A class-conditional network of three classes and 'none', with random weights, and images of its size."""
    directory = tmp_path_factory.mktemp("model")
    network("attention").save_pretrained(directory / "unet")
    diffusers.DDPMScheduler().save_pretrained(directory / "scheduler")
    rng = np.random.default_rng(0)
    np.save(directory / "images.npy", rng.standard_normal((12, 3, 8, 12)).astype(np.float32))
    np.save(directory / "labels.npy", np.arange(12) % 3)
    (directory / "source.py").write_text(SOURCE)
    (directory / "source_neighbour.py").write_text("MEANS = [[[[1.0] * 4] * 4], [[[-1.0] * 4] * 4]]\n")
    return directory


def test_window_of_a_directory(saved, tmp_path):
    found = run(
        "window", saved, "--null-label", 3, "--runs", 6, "--levels", 6, "--steps", "10,20", "--batch", 6,
        "--images", saved / "images.npy", "--labels", saved / "labels.npy", "--out", tmp_path, "--quiet",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    # Random weights decide nothing sensible, which has to be said.
    assert "no guidance window" in found.output
    window = json.loads((tmp_path / "window.json").read_text())
    assert window["verdict"]
    assert window["evaluations"] == 2 * 6 * 6
    assert len(window["entropic_sigmas"]["10"]) == 10
    assert (tmp_path / "information.png").stat().st_size > 1000
    again = run("window", tmp_path / "result.nc", "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    assert json.loads((tmp_path / "again" / "window.json").read_text())["verdict"] == window["verdict"]


def test_analysis_of_a_directory(saved, tmp_path):
    found = run(
        "analyze", saved, "--null-label", 3, "--trajectories", 1, "--steps", 4, "--shells", 3, "--runs", 3,
        "--out", tmp_path, "--quiet",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    dataset = fp.load(tmp_path / "result.nc")
    assert dataset.sizes["trajectory"] == 3
    assert dataset.attrs["derivatives"] in ("jvp", "vjp")
    assert {"posterior_variance", "structure_factor", "class_rate", "xi_x"} <= set(dataset)
    assert {path.name for path in tmp_path.glob("*.png")} == {"figure1.png", "softening.png", "information.png"}


def test_analysis_without_information(saved, tmp_path):
    found = run(
        "analyze", saved, "--trajectories", 1, "--steps", 4, "--shells", 3, "--runs", 0, "--out", tmp_path, "--quiet"
    )
    assert found.exit_code == 0, found.output
    assert "window" not in found.output
    assert {path.name for path in tmp_path.glob("*.png")} == {"figure1.png", "softening.png"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["window", "nowhere"], "is not a directory"),
        (["window", "SAVED"], "no unconditional counterpart; expected its null_label (--null-label)"),
        (["window", "SAVED", "--null-label", "3", "--share", "1"], "share is 1.0; expected a number in (0, 1)"),
        (["window", "SAVED/source.py:broken"], "source.py:broken cannot be made (ZeroDivisionError"),
        (["window", "SAVED/source.py:number"], "source.py:number is int; expected a denoiser"),
        (["window", "SAVED/source.py:none"], "source.py:none is missing"),
        (["window", "SAVED/none.py:net"], "none.py is not a file"),
        (["window", "SAVED", "--null-label", "1"], "null_label is 1"),
        (["window", "SAVED", "--null-label", "3", "--labels", "SAVED/labels.npy"], "--labels is given without"),
        (["window", "SAVED", "--null-label", "3", "--images", "SAVED/images.npy"], "images are given without labels"),
        (["window", "SAVED", "--steps", "many"], "steps is 'many'"),
        (["window", "SAVED", "--null-label", "3", "--guide", "SAVED/../other"], "the guide is for images 1x8x12"),
        (["analyze", "SAVED/unet/config.json"], "is not a directory"),
        (["analyze", "SAVED"], "no unconditional counterpart; expected its null_label (--null-label)"),
    ],
)
def test_mistakes_end_in_one_sentence(saved, tmp_path, arguments, message):
    other = saved.parent / "other"
    if not other.exists():
        network("group norm").save_pretrained(other / "unet")
        diffusers.DDPMScheduler().save_pretrained(other / "scheduler")
    words = [word.replace("SAVED", str(saved)) for word in arguments]
    found = run(*words, "--out", tmp_path / "out", "--quiet")
    assert isinstance(found.exception, FastpatchError), found.output
    assert message in str(found.exception)
    assert "\n" not in str(found.exception)
    # Nothing that the corrected command would stumble over, and no work that is lost.
    assert not (tmp_path / "out" / "parts").exists()


def test_an_object_in_python_is_a_source(saved, tmp_path):
    found = run("window", f"{saved}/source.py:net", "--runs", 16, "--levels", 8, "--out", tmp_path, "--quiet")
    assert found.exit_code == 0, found.output
    window = json.loads((tmp_path / "window.json").read_text())
    assert window["label_entropy"] == pytest.approx(np.log(2.0))
    assert not (tmp_path / "parts").exists()


def test_one_command_at_a_time_has_the_directory(saved, tmp_path):
    from fastpatch.atomic import exclusive_directory
    from fastpatch.errors import OutputError

    with exclusive_directory(tmp_path, "run"):
        for command in ("window", "analyze"):
            found = run(command, f"{saved}/source.py:net", "--out", tmp_path, "--quiet")
            assert isinstance(found.exception, OutputError)
            assert "is in use by another run" in str(found.exception)
        np.save(saved / "clean.npy", np.zeros((2, 1, 4, 4), dtype=np.float32))
        data = ("--images", saved / "clean.npy", "--labels", saved / "labels.npy")
        found = run("loss", f"{saved}/source.py:net", *data, "--out", tmp_path)
        assert "is in use by another comparison of losses" in str(found.exception)


def test_help_needs_no_torch():
    code = "import sys; sys.argv = ['fastpatch', 'network', '--help']\nfrom fastpatch.cli import app\n"
    code += "try:\n    app()\nfinally:\n    assert 'torch' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_own_networks_are_sources_too(tmp_path):
    from fastpatch.errors import ResultFileError
    from fastpatch.neural.edm2 import shipped_network

    try:
        path = shipped_network()
    except ResultFileError as error:
        pytest.skip(str(error))
    with torch.random.fork_rng():
        found = run(
            "window", path, "--runs", 2, "--levels", 2, "--images", _padded(tmp_path), "--labels",
            tmp_path / "labels.npy", "--out", tmp_path / "out", "--quiet",
        )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert "2 images are too few" in found.output


def _padded(directory):
    np.save(directory / "images.npy", np.full((2, 1, 32, 32), -1.0, np.float32))
    np.save(directory / "labels.npy", np.array([0, 1]))
    return directory / "images.npy"


def test_results_of_window_and_loss_are_shown_and_drawn_again(saved, tmp_path):
    source = f"{saved}/source.py:net"
    rng = np.random.default_rng(0)
    np.save(tmp_path / "clean.npy", rng.choice([-1.0, 1.0], (6, 1, 1, 1)) * np.ones((6, 1, 4, 4), dtype=np.float32))
    np.save(tmp_path / "classes.npy", np.arange(6) % 2)
    data = ("--images", tmp_path / "clean.npy", "--labels", tmp_path / "classes.npy")
    made = {
        "window": run("window", source, "--runs", 8, "--levels", 6, "--out", tmp_path / "window", "--quiet"),
        "loss": run("loss", source, *data, "--levels", 4, "--out", tmp_path / "loss", "--quiet"),
    }
    for name, figure in (("window", "information"), ("loss", "loss")):
        assert made[name].exit_code == 0, made[name].output
        file = tmp_path / name / "result.nc"
        shown = CliRunner().invoke(app, ["show", str(file)])
        assert shown.exit_code == 0, shown.output
        assert set(shown.output.splitlines()[-4:]) <= set(made[name].output.splitlines())
        drawn = CliRunner().invoke(app, ["plot", str(file), "--out", str(tmp_path / "again")])
        assert drawn.exit_code == 0, drawn.output
        assert (tmp_path / "again" / f"{figure}.png").stat().st_size > 1000
    as_json = CliRunner().invoke(app, ["show", "--json", str(tmp_path / "window" / "result.nc")])
    assert json.loads(as_json.output)["evaluations"] > 0
    refused = CliRunner().invoke(app, ["show", "--json", str(tmp_path / "loss" / "result.nc")])
    assert "has a report in words alone; expected no --json" in str(refused.exception)
