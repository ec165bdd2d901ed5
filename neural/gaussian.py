r"""Gaussian denoisers of given means and covariances: the null of every network, in which nothing is critical.

For images of a class y with mean m and covariance C, and x = x_0 + sigma eps,

.. math:: D(x, \sigma, y) = m_y + C_y (C_y + \sigma^2)^{-1} (x - m_y), \qquad
          \frac{\partial D}{\partial x} = C_y (C_y + \sigma^2)^{-1}

is linear in x, and the density is log-concave at every noise level. What a network shows beyond it needs more than
means and covariances. Without a label it is one Gaussian with the moments of all classes together: the guide.
"""

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ..errors import InvalidInputError
from ..validation import finite_float, floating_field
from .denoiser import checked_labels

__all__ = ["MOST_PIXELS", "GaussianDenoiser"]

# Largest number of pixels, of which every class holds a matrix.
MOST_PIXELS = 4096


class GaussianDenoiser(nn.Module):
    r"""D(x, sigma, class_labels) of Gaussian classes, for the sampler, guidance, probes and the pulse experiment.

    Parameters
    ----------
    means
        m_y (Y, C, H, W), finite.
    covariances
        C_y (Y, N, N), N = C H W pixels in the order of ``means[y].ravel()``; symmetric and positive semidefinite (to
        1e-6 of the largest eigenvalue, below which eigenvalues count as 0).
    weights
        Prior of the classes (Y,), positive, normalised on entry; uniform by default. The Gaussian without a label has
        the mean :math:`\sum_y w_y m_y` and the covariance :math:`\sum_y w_y (C_y + m_y m_y^\top) - m m^\top`.

    Attributes
    ----------
    label_dim : int
        Y, or 0 with a single class, which then takes no labels.
    image_shape : (C, H, W)

    A call takes x (B, C, H, W), a number or a tensor (B,) for sigma, and labels as (B,) indices, (B, Y) rows that are
    one-hot or zero, or None; a zero row is no label. It computes in float64 and returns the dtype of x. Raises
    `InvalidInputError` or `DtypeError` for arrays outside what is stated.
    """

    means: Tensor
    axes: Tensor
    variances: Tensor
    architecture = "Gaussian"

    def __init__(self, means: ArrayLike, covariances: ArrayLike, weights: ArrayLike | None = None) -> None:
        super().__init__()
        centres = floating_field(means, "means", minimum_ndim=4).astype(np.float64)
        if centres.ndim != 4:
            raise InvalidInputError(f"means has shape {centres.shape}; expected (classes, C, H, W)")
        count, pixels = len(centres), centres[0].size
        if pixels > MOST_PIXELS:
            raise InvalidInputError(f"images have {pixels} values; expected at most {MOST_PIXELS} for full covariances")
        matrices = floating_field(covariances, "covariances", minimum_ndim=3).astype(np.float64)
        if matrices.shape != (count, pixels, pixels):
            raise InvalidInputError(f"covariances has shape {matrices.shape}; expected {(count, pixels, pixels)}")
        prior = np.full(count, 1.0 / count) if weights is None else np.asarray(weights, dtype=np.float64)
        if prior.shape != (count,) or not (np.isfinite(prior) & (prior > 0.0)).all():
            raise InvalidInputError(f"weights is {weights!r}; expected {count} positive numbers, one a class")
        flat = centres.reshape(count, -1)
        if count > 1:
            flat, matrices = _with_mixture(flat, matrices, prior / prior.sum())
        spectra = [_eigensystem(matrix, at) for at, matrix in enumerate(matrices)]
        self.image_shape: tuple[int, int, int] = centres.shape[1:]
        self.label_dim = count if count > 1 else 0
        self.register_buffer("means", torch.from_numpy(flat))
        self.register_buffer("variances", torch.from_numpy(np.stack([values for values, _ in spectra])))
        self.register_buffer("axes", torch.from_numpy(np.stack([vectors for _, vectors in spectra])))
        self.eval()

    @classmethod
    def from_images(cls, images: ArrayLike, labels: ArrayLike | None = None, *, floor: float = 0.0) -> Self:
        """The null of a data set: mean and covariance of every class, or of all images without labels.

        Parameters
        ----------
        images
            (n, C, H, W) or (n, H, W), float32 or float64, in the scale of the network's images.
        labels
            Class indices 0 … Y - 1 (n,), at least two images a class.
        floor
            Variance added along every direction. With fewer images than pixels a covariance is singular, which is
            allowed: samples then stay in the span of the images.
        """
        fields = floating_field(images, "images", minimum_ndim=3)
        if fields.ndim not in (3, 4):
            raise InvalidInputError(f"images has shape {fields.shape}; expected (n, C, H, W) or (n, H, W)")
        data = fields.reshape(len(fields), -1, *fields.shape[-2:])
        classes = np.zeros(len(data), dtype=np.int64) if labels is None else np.asarray(labels)
        if classes.shape != (len(data),) or classes.dtype.kind not in "iu":
            raise InvalidInputError(f"labels has shape {classes.shape}; expected {len(data)} integers, one an image")
        added = finite_float(floor, "floor")
        if added < 0.0:
            raise InvalidInputError(f"floor is {added}; expected a variance >= 0")
        counts = np.bincount(classes) if classes.size and classes.min() >= 0 else np.zeros(1, dtype=np.int64)
        if counts.min() < 2:
            raise InvalidInputError("a class has fewer than two images; expected at least two of every class from 0 on")
        means, covariances = [], []
        for label in range(len(counts)):
            members = data[classes == label].reshape(counts[label], -1).astype(np.float64)
            means.append(members.mean(axis=0).reshape(data.shape[1:]))
            covariances.append(np.cov(members, rowvar=False, ddof=1).reshape(2 * (members.shape[1],)))
            covariances[-1] += added * np.eye(members.shape[1])
        return cls(np.stack(means), np.stack(covariances), counts / counts.sum())

    @property
    def img_channels(self) -> int:
        return self.image_shape[0]

    @property
    def img_resolution(self) -> int:
        return self.image_shape[1]

    def forward(self, x: Tensor, sigma: Any, class_labels: Tensor | None = None) -> Tensor:
        flat = x.reshape(len(x), -1).double()
        noise = torch.as_tensor(sigma, dtype=torch.float64, device=x.device).reshape(-1, 1)
        members = self._members(class_labels, len(x)).to(x.device)
        distinct = torch.unique(members).tolist()
        if len(distinct) == 1:
            return self._of_class(distinct[0], flat, noise).to(x.dtype).reshape(x.shape)
        rows = [torch.nonzero(members == label).ravel() for label in distinct]
        noise = noise.expand(len(x), 1)
        parts = [self._of_class(label, flat[at], noise[at]) for label, at in zip(distinct, rows, strict=True)]
        order = torch.argsort(torch.cat(rows))
        return torch.cat(parts)[order].to(x.dtype).reshape(x.shape)

    def mode_derivatives(self, modes: ArrayLike, sigma: float, label: int | None = None) -> NDArray[np.float64]:
        r"""lambda_v = v^T (db/dx) v of the drift b = (x - D)/sigma along modes (..., C, H, W), in closed form, (...).

        :math:`\sum_j (v\cdot e_j)^2\,\sigma/(\sigma^2 + \Lambda_j)` over the principal axes; it does not depend on x.
        """
        directions = floating_field(modes, "modes", minimum_ndim=3)
        if directions.shape[-3:] != self.image_shape:
            raise InvalidInputError(f"modes has shape {directions.shape}; expected (..., *{self.image_shape})")
        level = finite_float(sigma, "sigma")
        if level <= 0.0:
            raise InvalidInputError(f"sigma is {level}; expected a positive noise level")
        at = int(self._members(None if label is None else torch.tensor([label]), 1)[0])
        flat = directions.reshape(*directions.shape[:-3], -1).astype(np.float64)
        share = level / (level**2 + self.variances[at].cpu().numpy())
        return np.asarray(np.square(flat @ self.axes[at].cpu().numpy()) @ share)

    def _of_class(self, label: int, flat: Tensor, sigma: Tensor) -> Tensor:
        mean, axes, variance = self.means[label].double(), self.axes[label].double(), self.variances[label].double()
        share = variance / (variance + sigma**2)
        return mean + (((flat - mean) @ axes) * share) @ axes.T

    def _members(self, class_labels: Tensor | None, count: int) -> Tensor:
        """Which Gaussian each image belongs to; the last one is that without a label."""
        none = len(self.means) - 1
        labels = checked_labels(self, class_labels, count)
        if labels is None:
            return torch.full((count,), none)
        if labels.ndim == 1:
            return labels
        labelled = labels.sum(dim=1) > 0.5
        if not bool((((labels == 0.0) | (labels == 1.0)).all()) & (labels.sum(dim=1) <= 1.0).all()):
            raise InvalidInputError("class labels have rows that are neither one-hot nor zero; expected one class each")
        return torch.where(labelled, labels.argmax(dim=1), none)


def _with_mixture(
    means: NDArray[np.float64], covariances: NDArray[np.float64], prior: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means and covariances, followed by those of all classes together."""
    mean = prior @ means
    apart = means - mean
    covariance = np.tensordot(prior, covariances, axes=1) + (prior * apart.T) @ apart
    return np.concatenate([means, mean[None]]), np.concatenate([covariances, covariance[None]])


def _eigensystem(matrix: NDArray[np.float64], at: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    scale = float(np.abs(matrix).max())
    if not np.allclose(matrix, matrix.T, rtol=0.0, atol=1e-9 * scale):
        raise InvalidInputError(f"covariances[{at}] is not symmetric; expected a covariance matrix")
    values, vectors = np.linalg.eigh(matrix)
    if values[0] < -1e-6 * max(values[-1], 0.0) or values[-1] < 0.0:
        raise InvalidInputError(f"covariances[{at}] has the eigenvalue {values[0]:.3g}; expected none below 0")
    return np.maximum(values, 0.0), np.ascontiguousarray(vectors)
