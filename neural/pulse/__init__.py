"""Guidance pulses: does guidance act most at the critical noise level? (paper Sec. 7 and App. F)

The public names load on first use, and need torch (``pip install fastpatch[neural]``).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
}

__all__ = [
    "CONTROLS",
    "CriticalBy",
    "PulseExperiment",
    "PulseSettings",
    "check_classifier",
    "critical_attributes",
    "verdict",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
