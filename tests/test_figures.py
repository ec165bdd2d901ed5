"""Figures: from a dataset alone, the same every time, without pyplot, with the caller's settings left alone."""

import subprocess
import sys
from itertools import chain

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pytest
from matplotlib.image import imread

import fastpatch as fp
from fastpatch.analysis import critical_points, log_time_derivative, shell_average
from fastpatch.analysis.figures import draw_dispersion, draw_dynamics, draw_snapshots, figure_style, save_figure
from fastpatch.errors import InvalidInputError, OutputError


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
    assert len(dynamics.axes) == 4
    for axes in dynamics.axes[:3]:
        assert axes.get_xscale() == "log"
        assert axes.get_xlim() == (50.0, 1e-3)
        assert "diffusion time" in axes.get_xlabel()
        assert axes.get_ylabel()
        # The dictionary's predicted critical time, as a vertical line, and the measured zero of lambda_0 beside it.
        for time in (main_job.attrs["critical_time"], critical_points(main_job)["zero_mode_crossing"].time):
            assert any(np.allclose(line.get_xdata(), time) for line in axes.get_lines())
    assert dynamics.axes[2].get_yscale() == "log"
    assert dynamics.get_suptitle() == "Patch model"


def test_a_result_of_python_has_the_title_that_the_command_writes(small_result):
    sides = "×".join(str(small_result.sizes[side]) for side in ("y", "x"))
    size, count = small_result.sizes["pattern_x"], small_result.sizes["pattern_index"]
    expected = f"Patch model, {count} patterns of {size}×{size} on {sides} sites"
    assert fp.plot(small_result)["figure3"].get_suptitle() == expected
    assert fp.plot(small_result.assign_attrs(title="mine"))["figure3"].get_suptitle() == "mine"


def test_a_notebook_shows_figures_of_which_pyplot_knows_nothing(small_result):
    assert fp.plot(small_result)["snapshots"]._repr_png_().startswith(b"\x89PNG")


def test_left_panel_shows_median_and_quartiles_and_the_equilibrium_length_until_locking(dynamics, main_job):
    left, right = dynamics.axes[0], dynamics.axes[3]
    xi_x = main_job["xi_x"].to_numpy()
    np.testing.assert_array_equal(lines(left)[r"$\xi_x$, median"][1], np.median(xi_x, axis=0))
    (band,) = left.collections[:1]
    corners = band.get_paths()[0].vertices
    for share in (0.25, 0.75):
        assert np.isin(np.quantile(xi_x, share, axis=0).round(9), corners[:, 1].round(9)).all()
    equilibrium = lines(right)[r"$\xi_{\mathrm{eq}}$ (right), median"]
    length = main_job["xi_eq"].to_numpy()
    early = main_job["time"].to_numpy() > 4.0
    np.testing.assert_allclose(equilibrium[1][early], np.median(length[:, early], axis=0), rtol=1e-12)
    # In sites on its own axis; beyond the first zero of lambda_0 it means nothing, though it has values there.
    beyond = main_job["time"].to_numpy() < critical_points(main_job)["zero_mode_crossing"].time
    assert np.isfinite(length[:, beyond]).any()
    assert np.isnan(equilibrium[1][beyond]).all()


def test_legends_lie_below_the_panels_and_name_what_is_common_once(main_job):
    figure = draw_dynamics(main_job, null=fp.theory.null_of_result(main_job), predicted=3.2)
    figure.canvas.draw()
    lowest = min(axes.get_tightbbox().y0 for axes in figure.axes)
    named = [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]
    assert all(legend.get_window_extent().y1 <= lowest for legend in figure.legends)
    assert named[0][:2] == [r"$\xi_x$, quartiles", r"$\xi_x$, median"]
    assert named[1][0] == "Gaussian null"
    assert len({*chain(*named)}) == sum(map(len, named))


def test_a_few_trajectories_are_drawn_one_by_one(small_result):
    figure = draw_dynamics(small_result.isel(trajectory=slice(0, 2)))
    drawn = [np.asarray(line.get_ydata()) for line in figure.axes[0].get_lines()]
    for curve in small_result["xi_x"].to_numpy()[:2]:
        assert any(line.shape == curve.shape and np.array_equal(line, curve) for line in drawn)


def test_missing_values_leave_gaps(small_result):
    dataset = small_result.copy(deep=True)
    dataset["xi_x"][:, 10:14] = np.nan
    dataset["xi_x"][0, 3] = np.nan
    dataset["mode_derivative"][:, 20] = np.nan
    figure = draw_dynamics(dataset)
    figure.canvas.draw()
    median = lines(figure.axes[0])[r"$\xi_x$, median"][1]
    assert np.flatnonzero(np.isnan(median)).tolist() == [10, 11, 12, 13]
    dataset["xi_x"][:] = np.nan
    dataset["mode_derivative"][:] = np.nan
    draw_dynamics(dataset).canvas.draw()


def test_middle_panel_is_the_median_derivative(dynamics, main_job):
    drawn = [np.asarray(line.get_ydata()) for line in dynamics.axes[1].get_lines()]
    expected = np.median(-log_time_derivative(main_job["xi_x"].to_numpy(), main_job["time"].to_numpy()), axis=0)
    assert any(line.shape == expected.shape and np.allclose(line, expected) for line in drawn)


def test_right_panel_shows_the_shells(dynamics, main_job):
    drawn = lines(dynamics.axes[2])
    shells = np.median(np.abs(shell_average(main_job["mode_derivative"].to_numpy())), axis=0)
    for n in range(7):
        np.testing.assert_allclose(drawn[rf"$|\lambda_{{{n}}}|$"][1], shells[:, n], rtol=1e-12)
    np.testing.assert_allclose(drawn["median over $n$"][1], np.median(shells, axis=1), rtol=1e-12)


def test_snapshots_show_patterns_and_fields(main_job):
    figure = draw_snapshots(main_job, trajectory=2)
    images = [image.get_array() for axes in figure.axes for image in axes.get_images()]
    np.testing.assert_array_equal(images[:18], main_job["pattern"])
    np.testing.assert_array_equal(images[18:23], main_job["snapshot"][2])


def test_snapshots_of_prototypes_and_of_nothing(small_result):
    model = fp.EmpiricalModel(fp.stripe_prototypes(12))
    empirical = fp.simulate(model, (12, 12), 1, fp.log_time_grid(10.0, steps=20))
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


@pytest.mark.parametrize(("name", "size"), [("dynamics", (1760, 672)), ("snapshots", (1600, 480))])
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


@pytest.mark.parametrize(
    ("style", "width", "size"), [("screen", 11.0, 9.0), ("paper", 7.1, 6.5), ("slides", 13.2, 14.0)]
)
def test_styles_size_figures_and_letters(small_result, style, width, size, tmp_path):
    with figure_style(style):
        figure = draw_dynamics(small_result)
    assert figure.get_figwidth() == pytest.approx(width)
    assert figure.axes[0].xaxis.label.get_fontsize() == size
    save_figure(figure, tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").stat().st_size > 5000
    assert draw_dynamics(small_result).get_figwidth() == 11.0


def test_another_style_is_refused():
    with (
        pytest.raises(InvalidInputError, match="style is 'poster'; expected one of 'screen', 'paper', 'slides'"),
        figure_style("poster"),
    ):
        pass
