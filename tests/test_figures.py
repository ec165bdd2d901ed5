"""Figures: from a dataset alone, the same every time, without pyplot, with the caller's settings left alone."""

import subprocess
import sys

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pytest
from matplotlib.image import imread

import fastpatch as fp
from fastpatch.analysis import log_time_derivative, shell_average
from fastpatch.analysis.figures import draw_dispersion, draw_dynamics, draw_snapshots, save_figure
from fastpatch.errors import OutputError


def pixels(path):
    """RGB of a picture, after a check that something is drawn on it."""
    image = imread(path)[..., :3]
    assert image.std() > 0.01
    assert (image.min(axis=-1) < 0.5).mean() > 0.001
    return image


def lines(axes):
    """Curves by label, with the data that they show."""
    return {line.get_label(): np.asarray(line.get_xydata()).T for line in axes.get_lines()}


@pytest.fixture(scope="module")
def dynamics(main_job):
    return draw_dynamics(main_job, "Patch model")


def test_three_panels_on_a_reversed_logarithmic_time_axis(dynamics, main_job):
    assert len(dynamics.axes) == 3
    for axes in dynamics.axes:
        assert axes.get_xscale() == "log"
        assert axes.get_xlim() == (50.0, 1e-3)
        assert "diffusion time" in axes.get_xlabel()
        assert axes.get_ylabel()
        # The predicted critical time log 26, as a vertical line.
        assert any(np.allclose(line.get_xdata(), np.log(26.0)) for line in axes.get_lines())
    assert dynamics.axes[2].get_yscale() == "log"
    assert dynamics.get_suptitle() == "Patch model"


def test_left_panel_shows_every_trajectory_its_median_and_the_equilibrium_length(dynamics, main_job):
    drawn = [np.asarray(line.get_ydata()) for line in dynamics.axes[0].get_lines()]
    expected = [*main_job["xi_x"].to_numpy(), np.median(main_job["xi_x"], axis=0)]
    for curve in expected:
        assert any(line.shape == curve.shape and np.array_equal(line, curve) for line in drawn)
    equilibrium = next(xy for label, xy in lines(dynamics.axes[0]).items() if "eq" in label)
    length = main_job["xi_eq"].to_numpy()
    everywhere = np.isfinite(length).all(axis=0) & (length > 0.0).all(axis=0)
    ratio = equilibrium[1][everywhere] / np.median(length[:, everywhere], axis=0)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)
    # It is rescaled to the height of xi_x, and gaps stay gaps.
    assert 0.5 < np.nanquantile(equilibrium[1], 0.99) / np.median(main_job["xi_x"], axis=0).max() < 2.0
    assert np.isnan(equilibrium[1]).any()


def test_middle_panel_is_the_derivative(dynamics, main_job):
    drawn = [np.asarray(line.get_ydata()) for line in dynamics.axes[1].get_lines()]
    expected = -log_time_derivative(np.median(main_job["xi_x"], axis=0), main_job["time"].to_numpy())
    assert any(line.shape == expected.shape and np.allclose(line, expected) for line in drawn)


def test_right_panel_shows_the_shells(dynamics, main_job):
    drawn = lines(dynamics.axes[2])
    shells = np.median(np.abs(shell_average(main_job["mode_derivative"].to_numpy())), axis=0)
    for n in range(7):
        np.testing.assert_allclose(drawn[rf"$|\lambda_{{{n}}}|$"][1], shells[:, n], rtol=1e-12)
    np.testing.assert_allclose(drawn[r"$|\lambda|$, median over $n$"][1], np.median(shells, axis=1), rtol=1e-12)


def test_snapshots_show_patterns_and_fields(main_job):
    figure = draw_snapshots(main_job, trajectory=2)
    images = [image.get_array() for axes in figure.axes for image in axes.get_images()]
    np.testing.assert_array_equal(images[:18], main_job["pattern"])
    np.testing.assert_array_equal(images[18:23], main_job["snapshot"][2])


def test_snapshots_of_prototypes_and_of_nothing(small_result):
    model = fp.EmpiricalModel(fp.stripe_prototypes(12))
    empirical = fp.simulate(model, (12, 12), 1, fp.log_time_grid(steps=20))
    for dataset in (empirical, small_result.isel(snapshot_time=[]), small_result.isel(trajectory=[1])):
        for draw in (draw_snapshots, draw_dynamics):
            assert draw(dataset).canvas.get_width_height()[0] > 0
    for count in (1, 2):
        assert draw_snapshots(small_result.isel(snapshot_time=range(count))).axes


def test_a_run_without_any_order_can_be_drawn():
    # xi_x = 0 and xi_eq = NaN throughout: no data term, no correlation.
    model = fp.PatchModel(fp.PatchDictionary(np.zeros((1, 1, 1))))
    dataset = fp.simulate(model, (8, 8), 1, fp.log_time_grid(2.0, 1.0, 10))
    dataset["xi_x"][:] = 0.0
    dataset["xi_eq"][:] = np.nan
    draw_dynamics(dataset).canvas.draw()


@pytest.mark.parametrize(("name", "size"), [("dynamics", (1760, 592)), ("snapshots", (1600, 480))])
def test_files_have_the_size_of_the_figure_and_something_on_them(name, size, small_result, tmp_path):
    figure = draw_dynamics(small_result, "title") if name == "dynamics" else draw_snapshots(small_result)
    path = tmp_path / f"{name}.png"
    save_figure(figure, path)
    assert pixels(path).shape == (size[1], size[0], 3)
    save_figure(figure, path, dpi=50)
    assert pixels(path).shape == (size[1] * 50 // 160, size[0] * 50 // 160, 3)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["pdf", "svg"])
def test_other_formats_by_suffix(suffix, tmp_path):
    k = np.linspace(0, np.pi, 20)
    save_figure(draw_dispersion(k, [np.cos(k), np.sin(k)], ["a", "b"], "title"), tmp_path / f"figure.{suffix}")
    content = (tmp_path / f"figure.{suffix}").read_bytes()
    assert content.startswith(b"%PDF" if suffix == "pdf" else b"<?xml")


def test_dispersion_shows_its_curves(tmp_path):
    k = np.linspace(0, np.pi, 30)
    figure = draw_dispersion(k, [k**2 - 1, k**2 - 2], ["early", "late"], "Dispersion")
    drawn = lines(figure.axes[0])
    np.testing.assert_array_equal(drawn["late"], [k, k**2 - 2])
    assert figure.axes[0].get_title() == "Dispersion"
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["early", "late"]
    save_figure(figure, tmp_path / "dispersion.png")
    assert pixels(tmp_path / "dispersion.png").shape == (576, 896, 3)


def test_drawing_is_deterministic_and_leaves_settings_alone(small_result, tmp_path):
    with mpl.style.context("dark_background"), mpl.rc_context({"font.size": 31.0, "text.usetex": True}):
        before = dict(mpl.rcParams)
        for name in ("first.png", "second.png"):
            save_figure(draw_dynamics(small_result), tmp_path / name, dpi=60)
        assert dict(mpl.rcParams) == before
    save_figure(draw_dynamics(small_result), tmp_path / "third.png", dpi=60)
    first, second, third = (pixels(tmp_path / name) for name in ("first.png", "second.png", "third.png"))
    np.testing.assert_array_equal(first, second)
    # The caller's settings do not leak into the figure either.
    np.testing.assert_array_equal(first, third)


def test_drawing_needs_neither_pyplot_nor_a_display(small_result, tmp_path):
    path = tmp_path / "result.nc"
    fp.save(small_result, path)
    code = (
        "import sys, fastpatch as fp; from fastpatch.analysis import figures; "
        "figures.save_figure(figures.draw_dynamics(fp.load(sys.argv[1])), sys.argv[2], dpi=60); "
        "assert 'matplotlib.pyplot' not in sys.modules; assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(path), str(tmp_path / "figure.png")], check=True, timeout=120)
    pixels(tmp_path / "figure.png")


def test_a_figure_that_cannot_be_written(small_result, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"figure\.png cannot be written"):
        save_figure(draw_snapshots(small_result), tmp_path / "file" / "figure.png")
