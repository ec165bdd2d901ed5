r"""
How few steps are enough?
=========================

Two solvers of the same reverse process, from the same noise, at fewer and fewer steps. Euler–Maruyama (the paper's)
takes the drift as constant over a step; the ancestral step is exact while the posterior mean stands still, and starts
from any time. Judged by the final correlation length and by the density of domain walls.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastpatch as fp


def walls(x, t):
    signs = x > 0
    return 0.5 * sum((signs != np.roll(signs, 1, axis)).mean((-2, -1)) for axis in (-2, -1))


model = fp.PatchModel(fp.PatchDictionary.random())
counts = [150, 250, 500, 1000]
figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for solver in ("euler-maruyama", "ancestral"):
    found = []
    for steps in counts:
        ds = fp.simulate(
            model,
            shape=(48, 48),
            trajectories=16,
            times=fp.log_time_grid(steps=steps),
            solver=solver,
            observables=["xi_x", walls],
            record_every=steps,
        )
        found.append([ds.xi_x.isel(time=-1), ds.walls.isel(time=-1)])
    for axis, values in zip(axes, np.moveaxis(found, 1, 0), strict=True):
        axis.errorbar(counts, values.mean(1), values.std(1) / 4, label=solver, capsize=3)
axes[0].set(xscale="log", xlabel="steps", title=r"final $\xi_x$ (sites), mean and its error")
axes[1].set(xscale="log", xlabel="steps", title="density of walls")
axes[0].legend()
plt.show()
