r"""
Your own observable: domains and their walls
============================================

An observable is any function of the states and the time, recorded under its name. Here: the share of neighbouring
pairs of sites with unlike signs (the density of walls), and the largest connected domain.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import label

import fastpatch as fp


def walls(x, t):
    signs = x > 0
    return 0.5 * sum((signs != np.roll(signs, 1, axis)).mean((-2, -1)) for axis in (-2, -1))


def largest_domain(x, t):
    shares = []
    for field in x > 0:
        sizes = [np.bincount(label(part)[0].ravel())[1:].max(initial=0) for part in (field, ~field)]
        shares.append(max(sizes) / field.size)
    return np.array(shares)


ds = fp.simulate(
    fp.PatchModel(fp.PatchDictionary.random()),
    shape=(96, 96),
    times=fp.log_time_grid(steps=1000),
    record_every=10,
    observables=[walls, fp.Observable(largest_domain, long_name="largest domain (share of all sites)")],
)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.loglog(ds.time, ds.walls.T)
left.set(xlabel="t", title="density of walls", xlim=(50, 1e-3))
right.semilogx(ds.time, ds.largest_domain.T)
right.set(xlabel="t", title=ds.largest_domain.long_name, xlim=(50, 1e-3))
plt.show()
