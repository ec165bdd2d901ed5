"""Models: anything with a score, a drift and, where it can, exact mode derivatives."""

from .base import Model, ModelWithModes, PosteriorMeanModel
from .empirical import EmpiricalModel, stripe_prototypes
from .gaussian import GaussianModel
from .identity import model_identity
from .patch import PatchModel
from .score_model import ScoreModel, from_score

__all__ = [
    "EmpiricalModel",
    "GaussianModel",
    "Model",
    "ModelWithModes",
    "PatchModel",
    "PosteriorMeanModel",
    "ScoreModel",
    "from_score",
    "model_identity",
    "stripe_prototypes",
]
