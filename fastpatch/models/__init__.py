"""Models: anything with a score, a drift and, where it can, exact mode derivatives."""

from .base import Model, ModelWithModes, PosteriorMeanModel
from .colocated import ColocatedPatchModel
from .empirical import EmpiricalModel, stripe_prototypes
from .gaussian import GaussianModel
from .padded import PaddedPatchModel
from .patch import PatchModel
from .timed import TimedModel

__all__ = [
    "ColocatedPatchModel",
    "EmpiricalModel",
    "GaussianModel",
    "Model",
    "ModelWithModes",
    "PaddedPatchModel",
    "PatchModel",
    "PosteriorMeanModel",
    "TimedModel",
    "stripe_prototypes",
]
