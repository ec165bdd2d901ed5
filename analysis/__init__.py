"""Observables of a field and of the drift that moves it: NumPy and SciPy functions of arrays, for any model.

Correlation: `autocorrelation`, `radial_average`, `radial_correlation`, `correlation_length`,
`length_from_correlation`, `structure_factor`. Order: `magnetization`, `order_parameter_moments`, `binder_cumulant`,
`domain_wall_density`. Softening of modes: `fourier_modes`, `directional_derivatives`, `shell_average`,
`fit_shell_slope`, `fit_equilibrium_length`; in a form that no choice of drift can move, `posterior_gain`; of the whole
Jacobian, `softest_mode`. Curves over a run: `log_time_derivative`, `critical_points`,
`bootstrap_median`. Information decided along the noise levels: `decided_information`, `information_rate`,
`information_rate_by_shell`, `integrated_information`, `label_entropy`. Paired differences: `bootstrap_mean`,
`nested_bootstrap_means`, `sign_flip_test`, `holm`. Figures are in `fastpatch.analysis.figures`, which this package does
not import.
"""

from .correlation import autocorrelation, radial_average
from .correlation_length import correlation_length, length_from_correlation
from .critical_interval import CriticalPoint
from .critical_points import (
    critical_points,
    equilibrium_length_peak,
    fastest_growth,
    softest_zero_mode,
    zero_mode_crossing,
)
from .domain_walls import domain_wall_density
from .equilibrium import fit_equilibrium_length, fit_shell_slope
from .growth import log_time_derivative
from .information import (
    DecidedInformation,
    decided_information,
    integrated_information,
    label_entropy,
)
from .information_rate import information_rate, information_rate_by_shell
from .modes import directional_derivatives, distinct_modes, finite_difference_step, fourier_modes, shell_average
from .order_parameter import binder_cumulant, magnetization, order_parameter_moments
from .paired import bootstrap_mean, holm, nested_bootstrap_means, sign_flip_test
from .posterior_gain import posterior_gain, posterior_gain_edm
from .radial import radial_correlation
from .softest_mode import SoftestMode, softest_mode
from .statistics import bootstrap_median
from .structure_factor import shell_wave_numbers, structure_factor, wave_number_shells

__all__ = [
    "CriticalPoint",
    "DecidedInformation",
    "SoftestMode",
    "autocorrelation",
    "binder_cumulant",
    "bootstrap_mean",
    "bootstrap_median",
    "correlation_length",
    "critical_points",
    "decided_information",
    "directional_derivatives",
    "distinct_modes",
    "domain_wall_density",
    "equilibrium_length_peak",
    "fastest_growth",
    "finite_difference_step",
    "fit_equilibrium_length",
    "fit_shell_slope",
    "fourier_modes",
    "holm",
    "information_rate",
    "information_rate_by_shell",
    "integrated_information",
    "label_entropy",
    "length_from_correlation",
    "log_time_derivative",
    "magnetization",
    "nested_bootstrap_means",
    "order_parameter_moments",
    "posterior_gain",
    "posterior_gain_edm",
    "radial_average",
    "radial_correlation",
    "shell_average",
    "shell_wave_numbers",
    "sign_flip_test",
    "softest_mode",
    "softest_zero_mode",
    "structure_factor",
    "wave_number_shells",
    "zero_mode_crossing",
]
