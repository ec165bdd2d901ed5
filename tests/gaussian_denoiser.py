"""The exact denoiser of Gaussian images, whose ODE, guided or not, and whose Jacobian are known in closed form."""

import numpy as np
import torch


def power_law(resolution, amplitude=30.0, exponent=2.0):
    """A spectrum S(k) like that of images: large at small wave numbers m, float64 (resolution, resolution // 2 + 1)."""
    m = np.hypot(np.fft.fftfreq(resolution, 1 / resolution)[:, None], np.fft.rfftfreq(resolution, 1 / resolution))
    return amplitude / (1.0 + m) ** exponent


class GaussianDenoiser(torch.nn.Module):
    r"""D(x, sigma, y) of images of stationary covariance S(k) around a mean image of their class.

    .. math:: \hat D = \hat m_y + \frac{S}{S + \sigma^2} (\hat x - \hat m_y)

    The zero label has mean zero.
    """

    def __init__(self, spectrum, channels=1, means=None):
        super().__init__()
        self.spectrum = torch.as_tensor(spectrum)
        self.img_resolution = len(spectrum)
        self.img_channels = channels
        self.means = None if means is None else torch.as_tensor(means)
        self.label_dim = 0 if means is None else len(means)
        self.seen = []

    def forward(self, x, sigma, class_labels=None):
        self.seen.append((tuple(x.shape), float(sigma), None if class_labels is None else class_labels.clone()))
        mean = torch.zeros_like(x) if class_labels is None else self.means[class_labels].to(x)
        share = (self.spectrum / (self.spectrum + sigma**2)).to(x)
        return mean + torch.fft.irfft2(share * torch.fft.rfft2(x - mean), s=x.shape[-2:])

    def solution(self, x, start, stop, guide_spectrum=None, weight=0.0):
        """x(stop) of the exact flow from x(start) = ``x``, an array (..., H, W), for the zero label.

        Each mode obeys dx/dsigma = (1 + w) sigma x / (S + sigma^2) - w sigma x / (S_u + sigma^2).
        """
        S = self.spectrum.numpy()
        S_u = S if guide_spectrum is None else guide_spectrum
        factor = ((S + stop**2) / (S + start**2)) ** (0.5 * (1 + weight)) * ((S_u + stop**2) / (S_u + start**2)) ** (
            -0.5 * weight
        )
        return np.fft.irfft2(factor * np.fft.rfft2(np.asarray(x, dtype=np.float64)), s=x.shape[-2:])
