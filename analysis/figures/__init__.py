"""Figures, each drawn from a result dataset alone; nothing here touches pyplot or a display."""

from .dictionary import draw_snapshots
from .dispersion import draw_dispersion
from .dynamics import draw_dynamics
from .style import save_figure

__all__ = ["draw_dispersion", "draw_dynamics", "draw_snapshots", "save_figure"]
