"""The palette to eyes that lack one kind of cone: colours that tell curves apart stay apart."""

import itertools

import matplotlib as mpl
import numpy as np
import pytest

from fastpatch.analysis.figures import held_out, pulse_style, style

explorer = pytest.importorskip("fastpatch.explore.figures", reason="Bokeh is not installed")

# Machado, Oliveira and Fernandes, IEEE Trans. Vis. Comput. Graph. 15, 1291 (2009), severity 1, for linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def seen(colour, deficiency):
    """CIELAB of a colour as it is seen."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x = XYZ @ np.clip(DEFICIENCIES[deficiency] @ linear, 0.0, 1.0) / WHITE
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16.0 / 116.0)
    return np.array([116.0 * f[1] - 16.0, 500.0 * (f[0] - f[1]), 200.0 * (f[1] - f[2])])


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_any_two_colours_of_curves_differ_clearly(deficiency):
    colours = ["black", "white", style.BLUE, style.RED, style.PURPLE, style.GREY]
    for first, second in itertools.combinations(colours, 2):
        # A difference of 2 is just seen side by side; red and green of the usual palettes fall below 10.
        assert np.linalg.norm(seen(first, deficiency) - seen(second, deficiency)) > 20.0, (first, second)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize(
    "panel",
    [
        ["black", style.GREY, style.BLUE, pulse_style.ORANGE],
        [style.BLUE, style.RED, pulse_style.GREEN],
        held_out._COLOURS,
        ["#1f77b4", explorer._THEORY, explorer._CURSOR],
    ],
    ids=["kicks", "controls of a pulse", "losses of networks", "explorer"],
)
def test_colours_of_one_panel_differ_although_markers_and_dashes_do_too(panel, deficiency):
    for first, second in itertools.combinations(panel, 2):
        assert np.linalg.norm(seen(first, deficiency) - seen(second, deficiency)) > 15.0, (first, second)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_shells_go_from_dark_to_light(deficiency):
    lightness = [seen(colour, deficiency)[0] for colour in mpl.colormaps["viridis"](np.linspace(0.0, 0.9, 6))]
    assert (np.diff(lightness) > 5.0).all()


def test_the_check_would_notice_red_and_green():
    apart = seen("#D62728", "deuteranopia") - seen("#8C8C00", "deuteranopia")
    assert np.linalg.norm(apart) < 20.0
