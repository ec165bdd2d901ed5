"""What has to be computed, in which batches: every distinct treatment of every trial once.

Conditions coincide wherever their pulses hold the same levels of the grid, and all of them share the unguided run up
to their pulse. So each trial is run unguided once, with the states at which pulses begin, and branches from there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from .conditions import Trial, conditions, kick_positions, scan_positions, trials
from .settings import PulseSettings
from .treatment import UNGUIDED, Treatment

__all__ = ["Block", "Branch", "Cost", "Plan"]


class Branch(NamedTuple):
    """A treated run of the trial at the position ``trial`` of `Plan.trials`."""

    trial: int
    treatment: Treatment


class Cost(NamedTuple):
    """Evaluations, of single images, of the network and of the guide."""

    network: int
    guide: int


@dataclass(frozen=True)
class Block:
    """Trials whose unguided runs make one batch, and the batches of their branches.

    Attributes
    ----------
    number
        Position among the blocks.
    trials
        Positions in `Plan.trials`.
    steps
        At which branches leave, in the order of the run.
    batches
        Those that leave early come first: what is computed together is together for most of its way.
    """

    number: int
    trials: range
    steps: tuple[int, ...]
    batches: tuple[tuple[Branch, ...], ...]


class Plan:
    """All runs of an experiment; it follows from the settings alone, and so does what is computed together.

    Attributes
    ----------
    settings
        The experiment's.
    trials, conditions, positions, kicks
        Those of `trials`, `conditions`, `scan_positions` and `kick_positions`.
    """

    def __init__(self, settings: PulseSettings) -> None:
        self.settings = settings
        self.trials: list[Trial] = trials(settings)
        self.conditions: dict[str, list[Treatment]] = conditions(settings)
        self.positions: list[Treatment] = scan_positions(settings)
        self.kicks: dict[str, list[Treatment]] = kick_positions(settings)

    @cached_property
    def blocks(self) -> list[Block]:
        size = self.settings.batch
        count = len(self.trials)
        return [
            self._block(number, range(start, min(start + size, count)))
            for number, start in enumerate(range(0, count, size))
        ]

    def treatments(self, trial: int) -> set[Treatment]:
        """The distinct treatments of a trial."""
        kicks = (one for given in self.kicks.values() for one in given)
        return {UNGUIDED, *(given[trial] for given in self.conditions.values()), *self.positions, *kicks}

    def unguided_cost(self, block: Block) -> Cost:
        """Cost of the unguided runs of a block."""
        return self.cost([Branch(trial, UNGUIDED) for trial in block.trials])

    def cost(self, branches: Iterable[Branch]) -> Cost:
        """Cost of branches from where they leave."""
        given = [branch.treatment for branch in branches]
        return Cost(
            sum(one.evaluations(self.settings.steps) for one in given), sum(one.guided_evaluations for one in given)
        )

    @property
    def strips_cost(self) -> Cost:
        """Cost of an unguided run and one with the critical pulse, of each class, whose states are kept for figures."""
        runs = len(self.settings.classes)
        whole = UNGUIDED.evaluations(self.settings.steps)
        return Cost(2 * runs * whole, runs * self.settings.critical.guided_evaluations)

    def _block(self, number: int, members: range) -> Block:
        branches = [Branch(trial, one) for trial in members for one in self.treatments(trial) - {UNGUIDED}]
        branches.sort(key=lambda branch: (branch.treatment.branch, branch.treatment, branch.trial))
        size = self.settings.batch
        return Block(
            number,
            members,
            tuple(sorted({branch.treatment.branch for branch in branches})),
            tuple(tuple(branches[start : start + size]) for start in range(0, len(branches), size)),
        )
