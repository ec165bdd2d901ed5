"""The patch machine once more, as a differentiable torch function: padding, convolution, softmax."""

import numpy as np
import torch


def patch_score(dictionary, schedule):
    """score(x, t) for x (B, 1, L1, L2), in the dtype of x."""
    radius = dictionary.radius
    patterns = torch.from_numpy(np.array(dictionary.patterns))[:, None]
    log_prior = torch.from_numpy(np.log(dictionary.prior))[:, None, None]
    squared_norms = patterns.square().sum(dim=(2, 3))[:, :, None]

    def score(x, t):
        alpha, sigma2 = schedule.alpha(t), schedule.sigma2(t)
        wrapped = torch.nn.functional.pad(x, (radius,) * 4, mode="circular")
        overlaps = torch.nn.functional.conv2d(wrapped, patterns.to(x.dtype))
        logits = (alpha * overlaps - 0.5 * alpha**2 * squared_norms.to(x.dtype)) / sigma2 + log_prior.to(x.dtype)
        centres = patterns[:, :, radius, radius, None].to(x.dtype)
        mean = (logits.softmax(dim=1) * centres).sum(dim=1, keepdim=True)
        return (alpha * mean - x) / sigma2

    return score
