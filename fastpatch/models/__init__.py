"""Models: anything with a score, a drift and, where it can, exact mode derivatives."""

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .base import Model, ModelWithModes, PosteriorMeanModel
    from .empirical import EmpiricalModel, stripe_prototypes
    from .gaussian import GaussianModel
    from .patch import PatchModel

# On first use: the patch model alone needs Numba.
_HOME = {
    "EmpiricalModel": "empirical",
    "GaussianModel": "gaussian",
    "Model": "base",
    "ModelWithModes": "base",
    "PatchModel": "patch",
    "PosteriorMeanModel": "base",
    "stripe_prototypes": "empirical",
}

__all__ = [
    "EmpiricalModel",
    "GaussianModel",
    "Model",
    "ModelWithModes",
    "PatchModel",
    "PosteriorMeanModel",
    "stripe_prototypes",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
