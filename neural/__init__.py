"""Trained networks as models under the same observables as the patch machine.

Here is what any network needs: denoisers, sampler, guidance, derivatives, runs over noise levels. `unet` is the paper's
U-Net (App. D), `local` a network that sees exactly one patch, `edm2` the network of Sec. 7 and the released snapshots,
`pulse` the guidance experiment (App. F).
The public names load on first use; all but those of `data` need torch (``pip install "fastpatch[neural]"``).
"""

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from . import classifiers, denoisers, edm2, local, pulse, unet
    from .colour import luminance
    from .data import DataFileError, image_hash, load_images, load_labels
    from .denoiser import Denoiser, drift
    from .edm_grid import sigma_grid
    from .gaussian import GaussianDenoiser
    from .guidance import GuidedDenoiser, Pulse, constant
    from .modes import mode_derivatives
    from .noise_levels import analyze, chosen_classes
    from .probes.dispersion import LocalDispersion, local_dispersion
    from .probes.equivariance_error import shift_defect
    from .probes.held_out import held_out_loss
    from .probes.information import measure_information
    from .probes.locality import measure_locality
    from .probes.receptive_field import containing_radius, participating_sites, predicted_critical_time, response_power
    from .probes.sample_statistics import compare_with_data, nearest_neighbours
    from .probes.softest_mode import softest_mode
    from .sampler import Samples, latents, sample
    from .torch_model import TorchModel
    from .window.measured import GuidanceWindow, entropic_sigmas, guidance_window
    from .window.units import Interval

_HOME = {
    "DataFileError": "data",
    "Denoiser": "denoiser",
    "GuidanceWindow": "window.measured",
    "GaussianDenoiser": "gaussian",
    "GuidedDenoiser": "guidance",
    "Interval": "window.units",
    "LocalDispersion": "probes.dispersion",
    "Pulse": "guidance",
    "Samples": "sampler",
    "TorchModel": "torch_model",
    "analyze": "noise_levels",
    "chosen_classes": "noise_levels",
    "compare_with_data": "probes.sample_statistics",
    "constant": "guidance",
    "containing_radius": "probes.receptive_field",
    "drift": "denoiser",
    "entropic_sigmas": "window.measured",
    "guidance_window": "window.measured",
    "held_out_loss": "probes.held_out",
    "image_hash": "data",
    "latents": "sampler",
    "load_images": "data",
    "load_labels": "data",
    "local_dispersion": "probes.dispersion",
    "luminance": "colour",
    "measure_information": "probes.information",
    "measure_locality": "probes.locality",
    "mode_derivatives": "modes",
    "nearest_neighbours": "probes.sample_statistics",
    "participating_sites": "probes.receptive_field",
    "predicted_critical_time": "probes.receptive_field",
    "response_power": "probes.receptive_field",
    "sample": "sampler",
    "softest_mode": "probes.softest_mode",
    "shift_defect": "probes.equivariance_error",
    "sigma_grid": "edm_grid",
}
_SUBPACKAGES = ("classifiers", "denoisers", "edm2", "local", "pulse", "unet")

__all__ = [
    "DataFileError",
    "Denoiser",
    "GaussianDenoiser",
    "GuidanceWindow",
    "GuidedDenoiser",
    "Interval",
    "LocalDispersion",
    "Pulse",
    "Samples",
    "TorchModel",
    "analyze",
    "chosen_classes",
    "classifiers",
    "compare_with_data",
    "constant",
    "containing_radius",
    "denoisers",
    "drift",
    "edm2",
    "entropic_sigmas",
    "guidance_window",
    "held_out_loss",
    "image_hash",
    "latents",
    "load_images",
    "load_labels",
    "local",
    "local_dispersion",
    "luminance",
    "measure_information",
    "measure_locality",
    "mode_derivatives",
    "nearest_neighbours",
    "participating_sites",
    "predicted_critical_time",
    "pulse",
    "response_power",
    "sample",
    "shift_defect",
    "sigma_grid",
    "softest_mode",
    "unet",
]

__getattr__, __dir__ = lazily(__name__, _HOME, _SUBPACKAGES)
