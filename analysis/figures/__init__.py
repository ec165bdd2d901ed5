"""Figures, each drawn from a result dataset alone; nothing here touches pyplot or a display."""

from .dictionary import draw_snapshots
from .dispersion import draw_dispersion
from .dose_response import draw_dose_response
from .dynamics import draw_dynamics
from .held_out import draw_held_out
from .information import draw_information
from .kicks import draw_kicks
from .locality import draw_locality
from .noise_levels import draw_noise_levels, draw_relative_softening
from .pulse_figure import draw_condition_gains, draw_pulse_figure
from .samples import draw_denoising, draw_fidelity, draw_samples
from .style import figure_style, save_figure
from .trial import draw_trial

__all__ = [
    "draw_condition_gains",
    "draw_denoising",
    "draw_dispersion",
    "draw_dose_response",
    "draw_dynamics",
    "draw_fidelity",
    "draw_held_out",
    "draw_information",
    "draw_kicks",
    "draw_locality",
    "draw_noise_levels",
    "draw_pulse_figure",
    "draw_relative_softening",
    "draw_samples",
    "draw_snapshots",
    "draw_trial",
    "figure_style",
    "save_figure",
]
