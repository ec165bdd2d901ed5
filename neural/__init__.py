"""Trained networks under the same observables as the patch model: the paper's U-Net (App. D) and its data.

The public names load on first use; all but those of `data` need torch (``pip install fastpatch[neural]``).
"""

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .data import DataFileError, image_hash, load_images, load_labels
    from .dispersion import LocalDispersion, local_dispersion
    from .dynamics import TorchModel, UNetModel
    from .equivariance import shift_defect
    from .fidelity import compare_with_data, nearest_neighbours
    from .locality import measure_locality
    from .receptive_field import containing_radius, participating_sites, predicted_critical_time, response_power
    from .settings import TrainingSettings
    from .training import TrainingDivergedError, denoising_loss, train
    from .unet import UNet
    from .weights import load_weights, read_card, save_weights, shipped_weights

_HOME = {
    "DataFileError": "data",
    "LocalDispersion": "dispersion",
    "TorchModel": "dynamics",
    "TrainingDivergedError": "training",
    "TrainingSettings": "settings",
    "UNet": "unet",
    "UNetModel": "dynamics",
    "compare_with_data": "fidelity",
    "containing_radius": "receptive_field",
    "denoising_loss": "training",
    "image_hash": "data",
    "load_images": "data",
    "load_labels": "data",
    "load_weights": "weights",
    "local_dispersion": "dispersion",
    "measure_locality": "locality",
    "nearest_neighbours": "fidelity",
    "participating_sites": "receptive_field",
    "predicted_critical_time": "receptive_field",
    "read_card": "weights",
    "response_power": "receptive_field",
    "save_weights": "weights",
    "shift_defect": "equivariance",
    "shipped_weights": "weights",
    "train": "training",
}

__all__ = [
    "DataFileError",
    "LocalDispersion",
    "TorchModel",
    "TrainingDivergedError",
    "TrainingSettings",
    "UNet",
    "UNetModel",
    "compare_with_data",
    "containing_radius",
    "denoising_loss",
    "image_hash",
    "load_images",
    "load_labels",
    "load_weights",
    "local_dispersion",
    "measure_locality",
    "nearest_neighbours",
    "participating_sites",
    "predicted_critical_time",
    "read_card",
    "response_power",
    "save_weights",
    "shift_defect",
    "shipped_weights",
    "train",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
