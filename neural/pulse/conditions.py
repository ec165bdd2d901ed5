"""The conditions of the experiment: which pulse each trial of each class gets (paper App. F.4, and fairer controls)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..guidance import Band, Pulse
from .settings import PulseSettings
from .treatment import UNGUIDED, Kind, Treatment, dose, middle, on_grid

__all__ = ["KICKS", "Trial", "conditions", "kick_positions", "scan_positions", "trials"]

# Kicks of equal size: along the guidance, along noise of its power spectrum, and along bands of it.
KICKS: dict[str, tuple[Kind, Band]] = {
    "guidance": ("kick", "all"),
    "random": ("random kick", "all"),
    "low band": ("kick", "low"),
    "high band": ("kick", "high"),
}


class Trial(NamedTuple):
    """One initial noise of one class; ``seed`` draws it, and the positions of random pulses."""

    class_label: int
    number: int
    seed: int


def trials(settings: PulseSettings) -> list[Trial]:
    """All trials, the classes in turn; the seed of each depends on the experiment's, its class and its number alone."""

    def seed(*key: int) -> int:
        return int(np.random.SeedSequence([settings.seed, *key]).generate_state(1, np.uint64)[0])

    numbers = range(settings.trials)
    return [Trial(label, number, seed(label, number)) for number in numbers for label in settings.classes]


def conditions(settings: PulseSettings) -> dict[str, list[Treatment]]:
    """The treatment of every trial of `trials`, by the name of the condition.

    ``unguided``, ``critical``
        Always there.
    ``random``
        The paper's control: a pulse of the same Delta around a centre uniform in [sigma_min, sigma_max]. Most of that
        interval lies where the grid has few levels, so that such a pulse often guides no evaluation at all.
    ``step-matched``
        A pulse of as many guided evaluations as the critical one, at a position uniform among all that the grid has.
    ``log-uniform``
        A pulse of the same relative width, Delta / sigma_c, around a log-uniform centre. (One of the same Delta would
        cover all levels below it.)
    ``critical, low band``, ``critical, high band`` (control "bands")
        The critical pulse of one part of D - D_u alone, see `project`.
    ``constant``
        Guidance at every level, of the weight that gives it the critical pulse's `dose`.
    ``constant, full weight`` (control "constant")
        Guidance at every level, of the critical pulse's own weight.
    ``neighbour above``, ``neighbour below`` (control "neighbours")
        A pulse of as many levels as the critical one, next to it and not overlapping, of the weight that gives it the
        critical pulse's dose; left out where the grid has no such levels.
    """
    everyone, critical = trials(settings), settings.critical
    found = {"unguided": [UNGUIDED] * len(everyone), "critical": [critical] * len(everyone)}
    for name, draw in (("random", _random), ("step-matched", _step_matched), ("log-uniform", _log_uniform)):
        if name in settings.controls:
            # A stream of its own for each control: none depends on which others there are.
            stream = int.from_bytes(name.encode())
            found[name] = [draw(settings, np.random.default_rng([trial.seed, stream])) for trial in everyone]
    if "bands" in settings.controls:
        found["critical, low band"] = [replace(critical, band="low")] * len(everyone)
        found["critical, high band"] = [replace(critical, band="high")] * len(everyone)
    if "constant" in settings.controls:
        always = Treatment(0, settings.steps, settings.weight)
        share = dose(critical, settings.grid) / dose(always, settings.grid)
        found["constant"] = [replace(always, weight=share * settings.weight)] * len(everyone)
        found["constant, full weight"] = [always] * len(everyone)
    if "neighbours" in settings.controls:
        width = critical.stop - critical.start
        for name, start in (("above", critical.start - width), ("below", critical.stop)):
            if 0 <= start <= settings.steps - width:
                moved = replace(critical, start=start, stop=start + width)
                share = dose(critical, settings.grid) / dose(moved, settings.grid)
                found[f"neighbour {name}"] = [replace(moved, weight=share * settings.weight)] * len(everyone)
    return found


def scan_positions(settings: PulseSettings) -> list[Treatment]:
    """The pulses of the scan, from large sigma to small; none where it is not among the controls."""
    if "scan" not in settings.controls:
        return []
    if settings.scan_by == "evaluations":
        everywhere = list(_matched(settings))
    else:
        everywhere = [on_grid(_relative(settings, float(sigma)), settings.grid) for sigma in settings.grid[:-1]]
    middles = np.array([middle(one, settings.grid) for one in everywhere])
    return [everywhere[place] for place in _by_octaves(middles, settings, settings.scan_step)]


def kick_positions(settings: PulseSettings) -> dict[str, list[Treatment]]:
    """The kicks of every name of `KICKS`, from large sigma to small, at the same levels; none without the control.

    All move x by the same root mean square, at levels in steps of ``kick_step`` octaves from the middle of the critical
    pulse, so that what they do differs by the response to a displacement alone.
    """
    if "kicks" not in settings.controls:
        return {}
    levels = _by_octaves(settings.grid[:-1], settings, settings.kick_step).tolist()
    return {
        name: [Treatment(level, level + 1, settings.kick, band, kind) for level in levels]
        for name, (kind, band) in KICKS.items()
    }


def _by_octaves(sigma: NDArray[np.float64], settings: PulseSettings, step: float) -> NDArray[np.int64]:
    """Which of the levels are nearest to those that lie whole steps of octaves from the critical pulse."""
    octave, origin = np.log2(sigma), np.log2(middle(settings.critical, settings.grid))
    count = np.arange(np.ceil((octave.min() - origin) / step), np.floor((octave.max() - origin) / step) + 1.0)
    nearest: NDArray[np.int64] = np.unique(np.abs(octave - (origin + step * count)[:, None]).argmin(axis=1))
    return nearest


def _random(settings: PulseSettings, rng: np.random.Generator) -> Treatment:
    centre = rng.uniform(settings.sigma_min, settings.sigma_max)
    return on_grid(replace(settings.pulse, centre=centre), settings.grid)


def _step_matched(settings: PulseSettings, rng: np.random.Generator) -> Treatment:
    positions = list(_matched(settings))
    return positions[rng.integers(len(positions))]


def _log_uniform(settings: PulseSettings, rng: np.random.Generator) -> Treatment:
    centre = np.exp(rng.uniform(np.log(settings.sigma_min), np.log(settings.sigma_max)))
    return on_grid(_relative(settings, float(centre)), settings.grid)


def _matched(settings: PulseSettings) -> Iterator[Treatment]:
    """All pulses of consecutive levels with as many guided evaluations as the critical one, itself among them."""
    critical = settings.critical
    width = critical.stop - critical.start
    for start in range(settings.steps - width + 1):
        moved = replace(critical, start=start, stop=start + width)
        if moved.guided_evaluations == critical.guided_evaluations:
            yield moved


def _relative(settings: PulseSettings, centre: float) -> Pulse:
    pulse = settings.pulse
    return Pulse(centre, pulse.half_width * centre / pulse.centre, pulse.weight)
