"""Guidance pulses: does guidance act most at the critical noise level? (paper Sec. 7 and App. F)

The public names load on first use, and need torch (``pip install "fastpatch[neural]"``).
"""

from typing import TYPE_CHECKING

from ...lazy import lazily

if TYPE_CHECKING:
    from .beside import with_null, with_second_judge
    from .critical import CriticalBy, critical_attributes
    from .experiment import PulseExperiment
    from .findings import verdict
    from .scores import check_classifier
    from .settings import CONTROLS, PulseSettings

_HOME = {
    "CONTROLS": "settings",
    "CriticalBy": "critical",
    "PulseExperiment": "experiment",
    "PulseSettings": "settings",
    "check_classifier": "scores",
    "critical_attributes": "critical",
    "verdict": "findings",
    "with_null": "beside",
    "with_second_judge": "beside",
}

__all__ = [
    "CONTROLS",
    "CriticalBy",
    "PulseExperiment",
    "PulseSettings",
    "check_classifier",
    "critical_attributes",
    "verdict",
    "with_null",
    "with_second_judge",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
