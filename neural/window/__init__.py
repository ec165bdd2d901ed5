"""Where along the noise to guide, and how to place a run's steps, from what a network decides there."""

from typing import TYPE_CHECKING

from ...lazy import lazily

if TYPE_CHECKING:
    from .measured import GuidanceWindow, entropic_sigmas, guidance_window
    from .step_grid import entropic_levels
    from .units import Interval, StepWindow

_HOME = {
    "GuidanceWindow": "measured",
    "Interval": "units",
    "StepWindow": "units",
    "entropic_levels": "step_grid",
    "entropic_sigmas": "measured",
    "guidance_window": "measured",
}

__all__ = ["GuidanceWindow", "Interval", "StepWindow", "entropic_levels", "entropic_sigmas", "guidance_window"]

__getattr__, __dir__ = lazily(__name__, _HOME)
