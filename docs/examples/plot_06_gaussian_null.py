r"""
The Gaussian null
=================

A Gaussian field with the second moments of the dictionary breaks no symmetry, and its density is log-concave at every
time. Its :math:`\lambda_0` vanishes nevertheless, and :math:`\xi_\mathrm{eq}` diverges there. What tells the two
apart is what comes after: the machine's modes turn unstable and lock, the null's stay where they are.
"""

import matplotlib.pyplot as plt

import fastpatch as fp

dictionary = fp.PatchDictionary.random()
machine = fp.PatchModel(dictionary)
null = fp.GaussianModel.from_dictionary(dictionary, shape=(80, 80))

figure, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
for model, name in ((machine, "patch machine"), (null, "Gaussian null")):
    ds = fp.simulate(model, trajectories=4, times=fp.log_time_grid(steps=500), record_every=5, seed=1)
    zero_mode = ds.mode_derivative.mean("direction").sel(shell=0).median("trajectory")
    axes[0].plot(ds.time, zero_mode, label=name)
    axes[1].plot(ds.time, ds.xi_eq.median("trajectory"))
    axes[2].plot(ds.time, ds.xi_x.median("trajectory"))
axes[0].axhline(0, color="grey", linewidth=0.5)
axes[0].set(title=r"$\lambda_0$", ylim=(-0.6, 0.6), xlim=(50, 0.5))
axes[1].set(title=r"$\xi_\mathrm{eq}$ (sites)", ylim=(0, 20), xlim=(50, 0.5))
axes[2].set(title=r"$\xi_x$ (sites)", xlim=(50, 1e-3))
for axis in axes:
    axis.set(xscale="log", xlabel="t")
axes[0].legend()
plt.show()
