r"""
The patch machine forms a pattern
=================================

Four trajectories of the paper's machine: 80 × 80 sites, 18 patterns of 5 × 5, diffusion time from 50 to 0.001. Upper
row: one of them at five times. Lower row: the correlation length :math:`\xi_x(t)` of all four, and the derivatives
:math:`\lambda_n(t)` of the drift along the first modes.
"""

import matplotlib.pyplot as plt

import fastpatch as fp

model = fp.PatchModel(fp.PatchDictionary.random(n_random=8, uniform_mass=0.9, size=5, seed=0))
ds = fp.simulate(model, shape=(80, 80), trajectories=4, times=fp.log_time_grid(steps=1000), record_every=5, seed=0)

figure = plt.figure(figsize=(10, 5), layout="constrained")
upper, lower = figure.subfigures(2, 1)
for axis, time in zip(upper.subplots(1, 5), ds.snapshot_time, strict=True):
    axis.imshow(ds.snapshot.sel(trajectory=0, snapshot_time=time), cmap="gray", vmin=-1, vmax=1)
    axis.set(title=f"t = {float(time):.3g}", xticks=[], yticks=[])

left, right = lower.subplots(1, 2)
left.plot(ds.time, ds.xi_x.T, color="C0", alpha=0.4)
left.plot(ds.time, ds.xi_x.median("trajectory"), color="black")
left.set(xscale="log", xlabel="t", ylabel=r"$\xi_x$ (sites)", xlim=(50, 1e-3))
modes = ds.mode_derivative.mean("direction").median("trajectory")
for shell in range(4):
    right.plot(ds.time, modes.sel(shell=shell), label=f"n = {shell}")
right.axvline(model.critical_time, color="grey", linestyle="--")
right.axhline(0, color="grey", linewidth=0.5)
right.set(xscale="log", xlabel="t", ylabel=r"$\lambda_n$", ylim=(-0.5, 0.6), xlim=(50, 0.5))
right.legend()
plt.show()
