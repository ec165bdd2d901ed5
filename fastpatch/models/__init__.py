"""Models: anything with a score, a drift and, where it can, exact mode derivatives."""

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .base import Model, ModelWithModes, PosteriorMeanModel
    from .colocated import ColocatedPatchModel
    from .empirical import EmpiricalModel, stripe_prototypes
    from .gaussian import GaussianModel
    from .padded import PaddedPatchModel
    from .patch import PatchModel
    from .timed import TimedModel

# On first use: only patch models need Numba.
_HOME = {
    "ColocatedPatchModel": "colocated",
    "EmpiricalModel": "empirical",
    "GaussianModel": "gaussian",
    "Model": "base",
    "ModelWithModes": "base",
    "PaddedPatchModel": "padded",
    "PatchModel": "patch",
    "PosteriorMeanModel": "base",
    "TimedModel": "timed",
    "stripe_prototypes": "empirical",
}

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

__getattr__, __dir__ = lazily(__name__, _HOME)
