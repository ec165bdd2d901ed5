r"""
When is the pattern decided? Cloned runs
========================================

One run is taken to its end. From states on its way others start again with fresh noise, and their ends are
compared with its own: the overlap says how much of the pattern was decided by then. It rises gradually, over
more than an octave of the noise level on either side of the softening; nothing happens at once there.
"""

import matplotlib.pyplot as plt

import fastpatch as fp
from fastpatch.studies import cloning

model = fp.PatchModel(fp.PatchDictionary.random())
ds = cloning(model, shape=(32, 32), trajectories=4, times=fp.log_time_grid(steps=250), levels=12)

figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
axis.plot(ds.time, ds.sign_overlap.T, color="C0", alpha=0.3)
axis.plot(ds.time, ds.sign_overlap.mean("trajectory"), color="black")
axis.axvline(model.critical_time, color="grey", linestyle="--", label="predicted critical time")
axis.set(xscale="log", xlim=(50, 1e-3), xlabel="time at which the runs part", ylabel="overlap of the ends")
axis.legend()
plt.show()
