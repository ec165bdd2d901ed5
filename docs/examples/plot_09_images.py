r"""
The patch machine of a set of images
====================================

All 5 × 5 patches of a set of images with their frequencies are a dictionary; thousands of patterns run through
a prefix tree. Here the images are drawn disks. Up close the machine's images look like them; as a whole they
are none of them.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastpatch as fp

rng = np.random.default_rng(0)
y, x = np.mgrid[:32, :32]
centres, radii = rng.uniform(8, 24, (300, 2)), rng.uniform(3, 9, 300)
images = np.array(
    [np.where((y - cy) ** 2 + (x - cx) ** 2 < r**2, 1.0, -1.0) for (cy, cx), r in zip(centres, radii, strict=True)]
)
dictionary = fp.PatchDictionary.from_images(images, size=5)
print(f"{len(dictionary)} distinct patches; the most frequent has {dictionary.prior.max():.0%} of the mass")

ds = fp.simulate(
    fp.PatchModel(dictionary),
    shape=(64, 64),
    trajectories=4,
    times=fp.log_time_grid(steps=300),
    solver="ancestral",
    record_every=20,
)
figure, axes = plt.subplots(2, 4, figsize=(9, 4.6), layout="constrained")
for axis, image in zip(axes[0], images, strict=False):
    axis.imshow(image, cmap="gray")
for axis, field in zip(axes[1], ds.final.values, strict=True):
    axis.imshow(field, cmap="gray", vmin=-1, vmax=1)
for axis in axes.flat:
    axis.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("images")
axes[1, 0].set_ylabel("machine")
plt.show()
