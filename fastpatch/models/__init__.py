"""Models: anything with a score, a drift and, where it can, exact mode derivatives."""

from .base import Model, ModelWithModes, PosteriorMeanModel
from .empirical import EmpiricalModel, stripe_prototypes
from .gaussian import GaussianModel
from .patch import PatchModel

__all__ = [
    "EmpiricalModel",
    "GaussianModel",
    "Model",
    "ModelWithModes",
    "PatchModel",
    "PosteriorMeanModel",
    "stripe_prototypes",
]
