"""Observables of a field and of the drift that moves it: NumPy and SciPy functions of arrays, for any model.

Correlation: `autocorrelation`, `radial_average`, `radial_correlation`, `correlation_length`,
`length_from_correlation`. Softening of modes: `fourier_modes`, `directional_derivatives`, `shell_average`,
`fit_shell_slope`, `fit_equilibrium_length`. Curves over a run: `log_time_derivative`, `critical_points`,
`bootstrap_median`. Paired differences: `bootstrap_mean`, `nested_bootstrap_means`, `sign_flip_test`, `holm`. Figures
are in `fastpatch.analysis.figures`, which this package does not import.
"""

from .correlation import autocorrelation, radial_average
from .correlation_length import correlation_length, length_from_correlation
from .critical_points import (
    CriticalPoint,
    critical_points,
    equilibrium_length_peak,
    fastest_growth,
    softest_zero_mode,
    zero_mode_crossing,
)
from .equilibrium import fit_equilibrium_length, fit_shell_slope
from .growth import log_time_derivative
from .modes import directional_derivatives, distinct_modes, finite_difference_step, fourier_modes, shell_average
from .paired import bootstrap_mean, holm, nested_bootstrap_means, sign_flip_test
from .radial import radial_correlation
from .statistics import bootstrap_median

__all__ = [
    "CriticalPoint",
    "autocorrelation",
    "bootstrap_mean",
    "bootstrap_median",
    "correlation_length",
    "critical_points",
    "directional_derivatives",
    "distinct_modes",
    "equilibrium_length_peak",
    "fastest_growth",
    "finite_difference_step",
    "fit_equilibrium_length",
    "fit_shell_slope",
    "fourier_modes",
    "holm",
    "length_from_correlation",
    "log_time_derivative",
    "nested_bootstrap_means",
    "radial_average",
    "radial_correlation",
    "shell_average",
    "sign_flip_test",
    "softest_zero_mode",
    "zero_mode_crossing",
]
