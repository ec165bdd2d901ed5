"""The theory of the paper's Secs. 3-5 and App. A-B: every formula by name.

Names ending in ``_eq5`` and so on are that equation exactly as printed. Where the print disagrees with the drift it
describes, the exact quantity has its own name, and the printed one's docstring says how they differ:

- `pitchfork` (eq. 5), `prototype_jacobian` (eqs. 4 and 6): two and M prototypes.
- `score_eq12`, `dispersion`, `ginzburg_landau`: the local score, its spectrum and its coarse-grained dynamics.
- `critical_time`: the five conditions for the onset of pattern formation.
- `effective_mass_eq21`, `renormalised_dispersion`: the shift by fluctuations.
- `gaussian_closure`: S(k), lambda(k) and xi_x along a run, self-consistently, without simulating it.
- `gaussian_null`: the same readings of a Gaussian field of matched second moments, which has no transition.
- `soft_modes`, `soft_mode_instability`: App. B for any translation-equivariant drift.

Conventions. Times are diffusion times t > 0; the generation runs in tau = -t. Wave vectors are (..., d) in radians
per site. Computations are in float64, except that `score_eq12` and its kin keep a field's dtype.
"""

from .closure import closure_critical_time, gaussian_closure, white_critical_time
from .convolution import impulse_kernel, kernel_from_dispersion, kernel_symbol
from .criticality import CriticalCondition, critical_time, critical_times, renormalised_critical_time
from .fluctuations import effective_mass_eq21, fluctuation_variance, linear_structure_factor
from .hypercube import c_omega, hypercube_offsets, hypercube_symbol, hypercube_volume, kernel_eq14
from .instability import EffectiveTheory, Instability, Sign, SoftModes, soft_mode_instability, soft_modes
from .landau import GinzburgLandau, TreeLevelCondition, ginzburg_landau
from .local_score import neighbourhood_sum, score_eq12, score_eq13
from .normal_form import Pitchfork, pitchfork, pitchfork_eq5, projected_drift, projected_equilibrium
from .null import closure_of_result, gaussian_null, null_of_result, with_null
from .prototypes import (
    LowRankSpectrum,
    jacobian_eq4,
    jacobian_eq6,
    log_density_eq3,
    prototype_jacobian,
    prototype_spectrum,
    spectrum_eq4,
    spectrum_eq6,
)
from .renormalised import Estimate, GaussianPatches, renormalised_dispersion
from .spectrum import dispersion, dispersion_eq15, dispersion_eq16, drift_kernel

__all__ = [
    "CriticalCondition",
    "EffectiveTheory",
    "Estimate",
    "GaussianPatches",
    "GinzburgLandau",
    "Instability",
    "LowRankSpectrum",
    "Pitchfork",
    "Sign",
    "SoftModes",
    "TreeLevelCondition",
    "c_omega",
    "closure_critical_time",
    "closure_of_result",
    "critical_time",
    "critical_times",
    "dispersion",
    "dispersion_eq15",
    "dispersion_eq16",
    "drift_kernel",
    "effective_mass_eq21",
    "fluctuation_variance",
    "gaussian_closure",
    "gaussian_null",
    "ginzburg_landau",
    "hypercube_offsets",
    "hypercube_symbol",
    "hypercube_volume",
    "impulse_kernel",
    "jacobian_eq4",
    "jacobian_eq6",
    "kernel_eq14",
    "kernel_from_dispersion",
    "kernel_symbol",
    "linear_structure_factor",
    "log_density_eq3",
    "neighbourhood_sum",
    "null_of_result",
    "pitchfork",
    "pitchfork_eq5",
    "projected_drift",
    "projected_equilibrium",
    "prototype_jacobian",
    "prototype_spectrum",
    "renormalised_critical_time",
    "renormalised_dispersion",
    "score_eq12",
    "score_eq13",
    "soft_mode_instability",
    "soft_modes",
    "spectrum_eq4",
    "spectrum_eq6",
    "white_critical_time",
    "with_null",
]
