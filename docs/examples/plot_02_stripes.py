r"""
Stripes: a pattern that softens away from k = 0
===============================================

A dictionary of stripes of period six in two orientations. The linear response at :math:`x = 0` says which waves turn
unstable first: not the uniform one, but a ring of waves near one cycle in six sites. The pattern that forms has them.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastpatch as fp
from fastpatch import theory

u = np.arange(-3, 4)
phases = 2 * np.pi * np.arange(6) / 6
profile = np.sign(np.cos(2 * np.pi * u / 6 + phases[:, None] + 1e-9))
patterns = np.concatenate([np.repeat(profile[:, None, :], 7, axis=1), np.repeat(profile[:, :, None], 7, axis=2)])
model = fp.PatchModel(fp.PatchDictionary(patterns))

# %%
# The spectrum of the linear response, before and at the onset.

soft = theory.soft_modes(theory.drift_kernel(3.0, model.dictionary), sign="drift")
print("softest waves (cycles per site):", np.round(soft.wave_vectors / (2 * np.pi), 3).tolist())
print("effective theory:", soft.effective_theory)

# %%
# The field that grows, and its power spectrum.

ds = fp.simulate(
    model, shape=(96, 96), trajectories=1, times=fp.log_time_grid(steps=800), record_every=800, snapshots=4
)
figure, axes = plt.subplots(2, 4, figsize=(10, 5), layout="constrained")
for (field_axis, power_axis), time in zip(axes.T, ds.snapshot_time, strict=True):
    field = ds.snapshot.sel(trajectory=0, snapshot_time=time).values
    field_axis.imshow(field, cmap="gray", vmin=-1, vmax=1)
    field_axis.set(title=f"t = {float(time):.3g}", xticks=[], yticks=[])
    power = np.fft.fftshift(np.abs(np.fft.fft2(field)) ** 2 / field.size)
    power_axis.imshow(power, norm="log", extent=(-0.5, 0.5, -0.5, 0.5), cmap="viridis")
    power_axis.set(xlabel="cycles per site", xlim=(-0.3, 0.3), ylim=(-0.3, 0.3))
plt.show()
