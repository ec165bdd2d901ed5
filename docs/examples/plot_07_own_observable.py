r"""
Your own observable: domains and their walls
============================================

States can be looked at while a run passes through them. Here: the share of neighbouring pairs of sites with unlike
signs (the density of walls), and the largest connected domain.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import label

import fastpatch as fp


def wall_density(x):
    signs = x > 0
    return 0.5 * sum((signs != np.roll(signs, 1, axis)).mean((-2, -1)) for axis in (-2, -1))


def largest_domain(x):
    shares = []
    for field in x > 0:
        sizes = [np.bincount(label(part)[0].ravel())[1:].max(initial=0) for part in (field, ~field)]
        shares.append(max(sizes) / field.size)
    return np.array(shares)


model = fp.PatchModel(fp.PatchDictionary.random())
times, walls, domains = [], [], []
for state in fp.states(model, (96, 96), trajectories=4, times=fp.log_time_grid(steps=1000), every=10):
    times.append(state.time)
    walls.append(wall_density(state.x))
    domains.append(largest_domain(state.x))

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.loglog(times, np.array(walls))
left.set(xlabel="t", title="density of walls", xlim=(50, 1e-3))
right.semilogx(times, np.array(domains))
right.set(xlabel="t", title="largest domain (share of all sites)", xlim=(50, 1e-3))
plt.show()
