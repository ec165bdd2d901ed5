"""Models: anything with a score, a drift and, where it can, exact mode derivatives."""

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .base import Model, ModelWithModes, PosteriorMeanModel
    from .colocated import ColocatedPatchModel
    from .empirical import EmpiricalModel, stripe_prototypes
    from .gaussian import GaussianModel
    from .identity import model_identity
    from .padded import PaddedPatchModel
    from .patch import PatchModel
    from .score_model import ScoreModel, from_score
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
    "ScoreModel": "score_model",
    "TimedModel": "timed",
    "from_score": "score_model",
    "model_identity": "identity",
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
    "ScoreModel",
    "TimedModel",
    "from_score",
    "model_identity",
    "stripe_prototypes",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
