"""``fastpatch edm2 analyze`` and ``sample``, from a network's file to tables, figures and data; Figure 1 itself."""

import json
import re
import sys

import numpy as np
import pytest
from matplotlib.image import imread
from typer.testing import CliRunner

import fastpatch as fp
from fastpatch.analysis import log_time_derivative
from fastpatch.analysis.figures import (
    draw_noise_levels,
    draw_relative_softening,
    draw_samples,
    figure_style,
    save_figure,
)
from fastpatch.cli import app as commands
from fastpatch.cli import experiment
from fastpatch.cli.edm2 import app
from fastpatch.cli.edm2.analyze import report
from fastpatch.cli.edm2.common import parsed_classes, training_images
from fastpatch.cli.plot import plot
from fastpatch.errors import FastpatchError, InvalidInputError

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from edm2_cases import random_network  # noqa: E402
from gaussian_denoiser import GaussianDenoiser, power_law  # noqa: E402

from fastpatch.neural import Pulse, analyze, latents, sample  # noqa: E402
from fastpatch.neural.edm2 import load, save_network  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

runner = CliRunner()


def invoke(*words):
    result = runner.invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="module")
def weights(folder):
    path = folder / "net.safetensors"
    save_network(path, random_network(), {})
    return path


@pytest.fixture
def undrawn(monkeypatch):
    """For tests of other things than figures, which take longest."""
    monkeypatch.setattr(experiment, "draw_figures", lambda dataset, directory, suffix="png", null=True: [])


def test_analyze_writes_table_figures_and_data(weights, tmp_path):
    options = ("--classes", "2,0-1", "--trajectories", 2, "--steps", 5, "--shells", 3, "--seed", 7)
    result = invoke("analyze", "--weights", weights, *options, "--out", tmp_path, "--quiet")
    dataset = fp.load(tmp_path / "result.nc")
    assert dataset["class_label"].to_numpy().tolist() == [2, 2, 0, 0, 1, 1]
    assert dataset["mode_derivative"].shape == (6, 5, 4, 2)
    run = json.loads(dataset.attrs["provenance"])["run"]
    assert (run["seed"], run["network"]["architecture"]["img_resolution"]) == (7, 8)
    for line in ("measured, median of 6", "xi_eq largest", "final xi_x (sites)"):
        assert line in result.output
    assert dataset.attrs["title"] == "EDM2, net, 1x8x8"
    expected = analyze(load(weights), [2, 0, 1], 2, 7, steps=5, shells=range(4))
    np.testing.assert_array_equal(dataset["xi_x"], expected["xi_x"])

    names = ("figure1.png", "softening.png")
    drawn = [(tmp_path / name).read_bytes() for name in names]
    assert min(map(len, drawn)) > 10_000
    plot(tmp_path / "result.nc", tmp_path / "again")
    assert [(tmp_path / "again" / name).read_bytes() for name in names] == drawn


def test_analyze_by_the_papers_differences_a_channel_at_a_time(folder, undrawn, tmp_path):
    save_network(folder / "colour.safetensors", random_network(img_channels=3), {})
    invoke(
        "analyze", "--weights", folder / "colour.safetensors", "--classes", "1", "--trajectories", 1, "--steps", 2,
        "--derivatives", "finite-difference", "--per-channel", "--out", tmp_path, "--quiet",
    )  # fmt: skip
    dataset = fp.load(tmp_path / "result.nc")
    assert dataset["mode_derivative"].dims == ("trajectory", "sigma", "channel", "shell", "direction")
    assert json.loads(dataset.attrs["provenance"])["run"]["derivatives"] == "finite-difference"


def test_sample_writes_a_grid_of_what_the_sampler_makes(weights, tmp_path):
    options = ("--classes", "0,2", "--count", 3, "--steps", 6, "--seed", 4, "--guidance", 0.7, "--pulse", 1.0, 0.9)
    result = invoke("sample", "--weights", weights, *options, "--band", "low", "--out", tmp_path, "--quiet")
    assert imread(tmp_path / "samples.png").std() > 0.01
    dataset = fp.load(tmp_path / "result.nc")
    net = load(weights)
    expected = sample(
        net, latents(range(4, 10), net), np.repeat([0, 2], 3), guide="zero-label", guidance=Pulse(1.0, 0.9, 0.7),
        band="low", steps=6,
    )  # fmt: skip
    np.testing.assert_array_equal(dataset["final"], expected.images)
    assert dataset.attrs["guide_evaluations"] == expected.guide_evaluations > 0
    assert f"{'network evaluations a sample':<36}{11:14d}" in result.output
    shown = CliRunner().invoke(commands, ["show", str(tmp_path / "result.nc")])
    assert f"{'network evaluations a sample':<36}{11:14d}" in shown.output
    assert json.loads(dataset.attrs["provenance"])["run"]["pulse"] == [1.0, 0.9]


def test_sample_guided_by_another_network(weights, folder, undrawn, tmp_path):
    guide = random_network(1, label_dim=0)
    save_network(folder / "guide.safetensors", guide, {})
    arguments = ("sample", "--weights", weights, "--count", 1, "--steps", 3, "--quiet", "--out", tmp_path)
    invoke(*arguments, "--guidance", 1.5, "--guide", folder / "guide.safetensors")
    guided = fp.load(tmp_path / "result.nc")
    assert guided.attrs["guide_evaluations"] == 5
    # Without a label of its own, a network is sampled without one.
    invoke("sample", "--weights", folder / "guide.safetensors", "--count", 2, "--steps", 3, "--out", tmp_path)
    assert "class_label" not in fp.load(tmp_path / "result.nc")


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("analyze", ["--classes", "1-3"], "classes holds '1-3'; expected indices from 0 to 2, in rising ranges"),
        ("sample", ["--classes", "all"], "classes is 'all'; expected indices and ranges, such as 0-3,7"),
        ("sample", ["--pulse", 1, 0.5], "a pulse is given with guidance 0; expected --guidance with the weight inside"),
        ("sample", ["--guidance", 1, "--pulse", 90, 1], r"the pulse acts at noise levels from 89 to 91; expected some"),
        ("sample", ["--guidance", 1, "--guide", "/nowhere"], "/nowhere"),
        ("sample", ["--guidance", "nan"], "weight is nan; expected a finite number"),
        ("sample", ["--count", 0], "count is 0; expected at least 1"),
        ("analyze", ["--shells", 2], r"shells is \[0, 1, 2\]; expected 0, 1, 2 and 3 among them"),
        ("analyze", ["--steps", 1], "steps is 1; expected at least 2"),
        ("analyze", ["--device", "quantum"], "device is 'quantum'; expected 'cpu'"),
    ],
)
def test_user_mistakes_are_one_sentence(weights, tmp_path, command, arguments, message):
    with pytest.raises(FastpatchError, match=message):
        invoke(command, "--weights", weights, "--out", tmp_path, *arguments)
    assert not (tmp_path / "result.nc").exists()


def test_a_guide_of_other_images(weights, folder, tmp_path):
    save_network(folder / "large.safetensors", random_network(img_resolution=16), {})
    with pytest.raises(InvalidInputError, match="the guide is for images 1x16x16; expected those of the network"):
        invoke("sample", "--weights", weights, "--guidance", 1, "--guide", folder / "large.safetensors")


def test_the_images_of_the_null_are_those_of_the_network(tmp_path, monkeypatch, capsys):
    net = random_network(label_dim=10, img_resolution=32)
    monkeypatch.setenv("FASTPATCH_DATA", str(tmp_path))
    assert training_images(net, None) == (None, None)
    assert "no Gaussian null stands beside the network" in capsys.readouterr().err
    with pytest.raises(FastpatchError, match="holds neither train-images"):
        training_images(net, tmp_path)
    with pytest.raises(InvalidInputError, match="3 channels and 10 classes; expected 1 and 10, or none"):
        training_images(random_network(label_dim=10, img_channels=3), None)


def test_classes_as_users_write_them():
    net = GaussianDenoiser(power_law(8), means=np.zeros((1000, 1, 1, 1)))
    assert parsed_classes("207, 3-5,999", net) == [207, 3, 4, 5, 999]
    assert parsed_classes(None, net) is None
    for text in ("5-3", "1000", "-1", "0-999999999999", "", "1,,2"):
        with pytest.raises(InvalidInputError, match="classes"):
            parsed_classes(text, net)
    with pytest.raises(InvalidInputError, match="a network without labels; expected none"):
        parsed_classes("0", GaussianDenoiser(power_law(8)))


@pytest.mark.parametrize("command", ["analyze", "sample"])
def test_without_torch_says_what_to_install(command, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("fastpatch.neural")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(FastpatchError, match=r"needs torch, which is not installed; expected `pip install .fastpatch"):
        invoke(command)


class TestFigure1:
    @pytest.fixture
    def dataset(self):
        means = 0.5 * np.random.default_rng(0).standard_normal((2, 3, 8, 8))
        found = analyze(GaussianDenoiser(power_law(8), 3, means), trajectories=3, steps=12, snapshots=5)
        levels = {"sigma_c": 2.0, "sigma_c_low": 1.5, "sigma_c_high": 3.0}
        return found.assign_attrs(levels, sigma_first=9.0, sigma_first_low=7.0, sigma_first_high=11.0)

    def test_is_drawn_for_slides_as_vectors(self, dataset, tmp_path):
        with figure_style("slides"):
            drawn = fp.plot(dataset)
            for stem, figure in drawn.items():
                save_figure(figure, tmp_path / f"{stem}.svg")
                # Letters are letters, of the size of a slide's.
                assert re.search(
                    r"<text [^>]*font(-size)?: 14px", (tmp_path / f"{stem}.svg").read_text(encoding="utf-8")
                )
        assert {"figure1", "softening"} <= drawn.keys()

    def test_shows_the_strip_above_and_the_panels_below(self, dataset):
        figure = draw_noise_levels(dataset, "title", trajectory=2)
        strip, panels = figure.axes[0], figure.axes[1:4]
        # xi_eq has an axis of its own.
        assert [axes.get_ylabel()[:18] for axes in figure.axes[4:]] in ([], [r"$\xi_{\mathrm{eq}}$"[:18]])
        images = dataset["denoised"].isel(trajectory=2).to_numpy()
        wall, side = np.asarray(strip.get_images()[0].get_array()), images.shape[-1]
        assert len(strip.get_xticklabels()) == len(images) == 5
        for n, image in enumerate(images):
            expected = np.clip(0.5 + 0.5 * np.moveaxis(image, 0, -1), 0.0, 1.0)
            found = wall[1:-1, n * (side + 2) + 1 :][:, :side]
            np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=1e-6)
        sigma = dataset["sigma"].to_numpy()
        for axes in panels:
            assert axes.get_xscale() == "log"
            assert axes.get_xlim() == (sigma[0], sigma[-1])
        drawn = [np.asarray(line.get_ydata()) for line in panels[1].get_lines()]
        growth = np.median(-log_time_derivative(dataset["xi_x"].to_numpy(), sigma), axis=0)
        assert any(line.shape == growth.shape and np.allclose(line, growth) for line in drawn)
        shells = {line.get_label(): np.asarray(line.get_ydata()) for line in panels[2].get_lines()}
        medians = np.median(np.abs(dataset["mode_derivative"].mean("direction")), axis=0)
        for n in range(7):
            np.testing.assert_allclose(shells[rf"$|\lambda_{{{n}}}|$"], medians[:, n], rtol=1e-12)

    def test_marks_sigma_c_the_first_peak_and_their_intervals(self, dataset):
        def marked(attributes):
            (axes,) = draw_relative_softening(dataset.assign_attrs(attributes)).axes
            lines = {float(line.get_xdata()[0]) for line in axes.get_lines() if len(set(line.get_xdata())) == 1}
            return lines, {(span.get_x(), span.get_x() + span.get_width()) for span in axes.patches}

        assert marked({}) == ({2.0, 9.0}, {(1.5, 3.0), (7.0, 11.0)})
        assert marked({"sigma_first": 2.0}) == ({2.0}, {(1.5, 3.0)})
        assert marked({"sigma_first": np.nan, "sigma_c_low": np.nan}) == ({2.0}, set())
        assert marked({"sigma_first": np.nan, "sigma_c": np.nan}) == (set(), set())
        for axes in draw_noise_levels(dataset).axes[1:4]:
            assert any(np.allclose(line.get_xdata(), 2.0) for line in axes.get_lines())

    def test_relative_softening_removes_the_free_part(self, dataset):
        (axes,) = draw_relative_softening(dataset).axes
        shown = {line.get_label(): np.asarray(line.get_ydata()) for line in axes.get_lines()}
        # sigma lambda_n = sigma^2 / (S_n + sigma^2) of Gaussian images.
        sigma = dataset["sigma"].to_numpy()
        for n in range(5):
            S = 30.0 / (1.0 + n) ** 2
            np.testing.assert_allclose(shown[f"$n$ = {n}"], sigma**2 / (S + sigma**2), atol=1e-5)

    def test_the_null_is_dotted_beside_the_network_and_can_be_left_out(self, dataset):
        sigma = dataset["sigma"].to_numpy()
        below = 0.9 * dataset["posterior_variance"]
        found = dataset.assign(
            null_xi_x=2.0 * dataset["xi_x"], null_xi_eq=dataset["xi_eq"], null_posterior_variance=below
        )
        figures = fp.plot(found)
        lines = {
            line.get_label(): np.asarray(line.get_ydata())
            for axes in figures["figure1"].axes[1:4]
            for line in axes.get_lines()
            if line.get_label() == "Gaussian null" and axes.get_ylabel().startswith(r"$|\lambda_n|$")
        }
        medians = np.median(below.mean("direction"), axis=0)
        np.testing.assert_allclose(lines["Gaussian null"], (1.0 - medians[:, 0]) / sigma)
        dotted = [line for line in figures["softening"].axes[0].get_lines() if len(line.get_xdata()) == len(sigma)]
        assert any(np.allclose(line.get_ydata(), 1.0 - medians[:, 3]) for line in dotted)
        assert "xi_eq largest, Gaussian null" in report(found)
        assert "the same, Gaussian null" in report(found)
        assert "Gaussian null" not in report(dataset)
        for figure in fp.plot(found, null=False).values():
            assert "Gaussian null" not in [line.get_label() for axes in figure.axes for line in axes.get_lines()]

    def test_is_drawn_without_a_strip(self, dataset):
        titles = [axes.get_title() for axes in draw_noise_levels(dataset.isel(snapshot_sigma=[])).axes]
        assert next(title for title in titles if title) == "Correlation length"

    def test_modes_of_single_channels_are_drawn_by_their_mean(self):
        net = GaussianDenoiser(power_law(8), channels=3)
        drawn = [
            draw_relative_softening(analyze(net, trajectories=1, steps=3, per_channel=per_channel)).axes[0].get_lines()
            for per_channel in (False, True)
        ]
        for together, each in zip(*drawn, strict=True):
            np.testing.assert_allclose(each.get_ydata(), together.get_ydata(), atol=1e-5)

    def test_samples_stand_in_rows_of_their_class(self, dataset):
        figure = draw_samples(dataset)
        (axes,) = figure.axes
        assert [label.get_text() for label in axes.get_yticklabels()] == ["class 0", "class 1"]
        assert np.asarray(axes.images[0].get_array()).shape == (2 * 10, 3 * 10, 3)
