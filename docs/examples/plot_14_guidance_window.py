r"""
Where to guide: a window with a verdict
=======================================

How much of its class an image has decided at each noise level follows from two denoisers alone,
:math:`-dI(c; x)/d\log\sigma = E|D - D_u|^2/\sigma^2`, and its integral is known: the entropy of the labels. First for
ten patterns in noise, whose posterior means are exact: the integral is log 10, and the window holds 90 % of it. Then
for a trained network on its own samples, of which the same calibration says whether it can be trusted.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from fastpatch import neural
from fastpatch.analysis import fourier_modes
from fastpatch.neural import edm2

torch.set_num_threads(2)
modes = fourier_modes((16, 16), range(4))[1:].reshape(-1, 16, 16)
patterns = np.random.default_rng(0).standard_normal((10, len(modes))) @ modes.reshape(len(modes), -1)
means = torch.from_numpy(3.0 * patterns.reshape(10, 1, 16, 16)).float()


def exact(y, sigma, labels=None, spread=0.3):
    """D of x0 = pattern + spread * noise, of one class or of all with equal weights."""
    sigma = sigma[:, None, None, None]
    of_class = (spread**2 * y[:, None] + sigma[:, None] ** 2 * means) / (spread**2 + sigma[:, None] ** 2)
    if labels is not None:
        return of_class[torch.arange(len(y)), labels]
    distance = (y[:, None] - means).square().sum((2, 3, 4))
    weights = torch.softmax(-0.5 * distance / (spread**2 + sigma[:, :, 0, 0] ** 2), dim=1)
    return (weights[:, :, None, None, None] * of_class).sum(1)


labels = np.arange(400) % 10
noise = np.random.default_rng(1).standard_normal((400, 1, 16, 16)).astype(np.float32)
net = neural.denoisers.from_callable(exact, image_shape=(1, 16, 16), label_dim=10)
images = means.numpy()[labels] + 0.3 * noise
known = neural.measure_information(net, images, labels, runs=400, sigmas=np.geomspace(60.0, 0.2, 16))
window = neural.guidance_window(known)
print(f"{window.information.total:.2f} nats of {np.log(10.0):.2f}, by the losses {window.losses.total[0]:.2f}")
print(window.verdict or f"guide from sigma {window.sigma_high:.2f} to {window.sigma_low:.2f}, {window.steps(50)}")

# %%
# The trained network. Its own samples stand for the data here; with images the losses would be compared as well.

network = edm2.load(edm2.shipped_network())
levels = np.geomspace(40.0, 0.1, 6)
trained = neural.measure_information(network, runs=16, sigmas=levels, sample_steps=4)
verdict = neural.guidance_window(trained)
print(verdict.verdict or f"guide from sigma {verdict.sigma_high:.2f} to {verdict.sigma_low:.2f}")

figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.2), layout="constrained")
for axis, measured, found, title in zip(
    axes, (known, trained), (window, verdict), ("ten patterns, exact", "a trained network"), strict=True
):
    rate = found.information
    axis.plot(measured.sigma, rate.rate, color="C0")
    axis.fill_between(measured.sigma, rate.rate_low, rate.rate_high, color="C0", alpha=0.3)
    if found.answer:
        axis.axvspan(found.sigma_low, found.sigma_high, color="C1", alpha=0.2, label="guide here")
        axis.legend()
    axis.set(xscale="log", xlabel=r"$\sigma$", title=f"{title}: {rate.total:.1f} of {rate.entropy:.1f} nats")
    axis.invert_xaxis()
axes[0].set_ylabel(r"class information per $\log\sigma$ (nat)")
plt.show()
