"""Networks, a classifier and settings of pulse experiments that several test files share."""

import numpy as np
import torch
from edm2_cases import random_network
from gaussian_denoiser import GaussianDenoiser

from fastpatch.neural.pulse import PulseExperiment, PulseSettings

SMALL = {"sigma_c": 1.5, "classes": (0, 2), "trials": 3, "steps": 8, "batch": 4}


def settings(**changes):
    """Those of an experiment of seconds on a network of three classes."""
    return PulseSettings(**{**SMALL, **changes})


def experiment(directory, net=None, guide="zero-label", **changes):
    return PulseExperiment(random_network() if net is None else net, settings(**changes), directory, guide=guide)


def class_means(count=3, side=8, seed=0):
    """Orthogonal images of unit norm (count, 1, side, side)."""
    draws = np.random.default_rng(seed).standard_normal((side * side, count))
    return np.linalg.qr(draws)[0].T.reshape(count, 1, side, side)


def gaussian_network(variance=1.0, count=3, scale=1.0):
    """The exact denoiser of white images of a variance around the means of their classes."""
    return GaussianDenoiser(np.full((8, 5), float(variance)), means=scale * class_means(count))


class MatchedFilter:
    """A classifier whose logits are the projections of an image on `class_means`."""

    def __init__(self, count=3):
        self.labels = tuple(f"class {index}" for index in range(count))

    def logits(self, images):
        return torch.einsum("bcij,kcij->bk", images.double(), torch.from_numpy(class_means(len(self.labels)))).float()

    def describe(self):
        return {"name": "matched filter"}
