r"""
A trained U-Net under the same measurement
==========================================

The paper's U-Net on binarised Fashion-MNIST, as a model: the same call simulates it, the same observables are taken,
with exact derivatives. Few steps and trajectories here; ``fastpatch unet analyze`` takes
more.
"""

import matplotlib.pyplot as plt
import torch

import fastpatch as fp
from fastpatch.neural.unet import UNetModel

torch.set_num_threads(2)
model = UNetModel.shipped("binarised")
times = fp.log_time_grid(steps=250)
ds = fp.simulate(model, shape=(28, 28), trajectories=4, times=times, record_every=25, shells=range(4), snapshots=5)

figure = plt.figure(figsize=(10, 5), layout="constrained")
upper, lower = figure.subfigures(2, 1)
for axis, time in zip(upper.subplots(1, 5), ds.snapshot_time, strict=True):
    axis.imshow(ds.snapshot.sel(trajectory=0, snapshot_time=time), cmap="gray", vmin=-1, vmax=1)
    axis.set(title=f"t = {float(time):.3g}", xticks=[], yticks=[])
left, right = lower.subplots(1, 2)
left.plot(ds.time, ds.xi_x.T, color="C0", alpha=0.4)
left.set(xscale="log", xlabel="t", title=r"$\xi_x$ (pixels)", xlim=(50, 1e-3))
right.plot(ds.time, ds.mode_derivative.mean("direction").median("trajectory"), label=[f"n = {n}" for n in range(4)])
right.axhline(0, color="grey", linewidth=0.5)
right.set(xscale="log", xlabel="t", title=r"$\lambda_n$", xlim=(50, 0.5), ylim=(-0.3, 0.7))
right.legend()
plt.show()
