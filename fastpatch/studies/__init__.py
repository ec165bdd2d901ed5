"""Scaling laws over many runs: finite size, rate of the quench, prior mass.

`scaling_study` reads a sweep and finds which of the three it is; `scaling_report` prints it, and
`fastpatch.studies.figures` draws it. Below that are functions of arrays: `trajectory_observables` and
`ensemble_observables` of runs, `fit_shift`, `fit_power_law` and `fit_collapse` of what they measure. No fit reports an
exponent that its data do not determine: the reason stands in its place. `compare_closure` sets the Gaussian closure
beside a simulation; `patch_information` and `cloning` tell when a run decides where it ends.
"""

from .cloning import cloning
from .closure import compare_closure
from .collapse import Collapse, Curve, collapse_measure, fit_collapse
from .finite_size import FiniteSize, finite_size_scaling
from .kinds import study_kind
from .measured import Measured
from .observables import (
    Ensemble,
    EnsembleObservables,
    TrajectoryObservables,
    ensemble_observables,
    trajectory_observables,
)
from .patch_information import patch_information
from .power_law import PowerLaw, fit_power_law
from .prior_mass import PriorMass, prior_mass_dependence
from .quench import Quench, QuenchRate, quench_rate_dependence
from .report import scaling_report
from .shift import Shift, fit_shift
from .study import Study, scaling_study, sweep_ensembles

__all__ = [
    "Collapse",
    "Curve",
    "Ensemble",
    "EnsembleObservables",
    "FiniteSize",
    "Measured",
    "PowerLaw",
    "PriorMass",
    "Quench",
    "QuenchRate",
    "Shift",
    "Study",
    "TrajectoryObservables",
    "cloning",
    "collapse_measure",
    "compare_closure",
    "ensemble_observables",
    "finite_size_scaling",
    "fit_collapse",
    "fit_power_law",
    "fit_shift",
    "patch_information",
    "prior_mass_dependence",
    "quench_rate_dependence",
    "scaling_report",
    "scaling_study",
    "study_kind",
    "sweep_ensembles",
    "trajectory_observables",
]
