r"""
The dispersion over the whole Brillouin zone
============================================

:math:`v^\top J v` along every cosine of the lattice at once, exact, from one FFT for each pattern. Before the onset
it is that of the linear theory; while the pattern forms, the soft region around :math:`k = 0` turns negative: those
waves grow.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastpatch as fp
from fastpatch import theory

dictionary = fp.PatchDictionary.random()
model = fp.PatchModel(dictionary)
wanted = [6.0, 3.2, 1.8]
figure, axes = plt.subplots(1, 4, figsize=(12, 3), layout="constrained")
cut = axes[-1]
states = fp.states(model, (80, 80), trajectories=8, times=fp.log_time_grid(steps=1000), every=1)
for axis, t in zip(axes, wanted, strict=False):
    state = next(state for state in states if state.time <= t)
    mean = model.spectrum(state.x, state.time).mean(0)
    image = axis.imshow(
        np.fft.fftshift(mean, axes=0), origin="lower", extent=(0, np.pi, -np.pi, np.pi), aspect="auto",
        cmap="RdBu_r", vmin=-0.6, vmax=0.6,
    )  # fmt: skip
    axis.set(title=f"t = {t}", xlabel="$k_x$", ylabel="$k_y$")
    k = 2 * np.pi * np.fft.rfftfreq(80)
    line = cut.plot(k, mean[0], label=f"t = {t}")[0]
    at_zero = theory.dispersion(np.stack([k, 0 * k], -1), state.time, dictionary=dictionary)
    cut.plot(k, at_zero, color=line.get_color(), linestyle=":")
figure.colorbar(image, ax=axes[:3], label=r"$\lambda(k)$")
cut.axhline(0, color="grey", linewidth=0.5)
cut.set(xlabel="$k_x$", title=r"dotted: at $x = 0$", ylim=(-2, 1))
cut.legend()
plt.show()
