r"""
A guidance pulse in an EDM network
==================================

A class-conditional network on Fashion-MNIST, sampled three times from the same noise: unguided, guided at all noise
levels, and guided only while :math:`\sigma` lies in a window. One column a class.
"""

import matplotlib.pyplot as plt
import torch

from fastpatch import neural
from fastpatch.neural import edm2

torch.set_num_threads(2)
network = edm2.load(edm2.shipped_network())
classes = [0, 1, 5, 7, 8, 9]
noise = neural.latents(range(len(classes)), network)
pulse = neural.Pulse(centre=2.2, half_width=1.1, weight=3.0)
samples = {
    "unguided": neural.sample(network, noise, classes),
    "everywhere": neural.sample(network, noise, classes, guide="zero-label", guidance=neural.constant(3.0)),
    "pulse": neural.sample(network, noise, classes, guide="zero-label", guidance=pulse),
}

figure, axes = plt.subplots(3, len(classes), figsize=(7, 4.4), layout="constrained")
for row, (name, sampled) in zip(axes, samples.items(), strict=True):
    row[0].set_ylabel(name)
    for axis, image in zip(row, sampled.images, strict=True):
        axis.imshow(image[0], cmap="gray", vmin=-1, vmax=1)
        axis.set(xticks=[], yticks=[])
plt.show()
