r"""
Two stored patterns: a bifurcation, not a band
==============================================

An empirical score that knows two whole images :math:`\pm\mu` couples all sites through the overlap with :math:`\mu`.
One direction softens, along :math:`\mu` itself; the low shells, which a local machine softens together, stay at
:math:`\frac12` (paper Fig. 3, middle).
"""

import matplotlib.pyplot as plt
import numpy as np

import fastpatch as fp

mu = fp.stripe_prototypes(48)
model = fp.EmpiricalModel(mu)
times = fp.log_time_grid(steps=1000)
overlap, along, low, seen = [], [], [], []
for state in fp.states(model, (48, 48), trajectories=4, times=times, every=10):
    seen.append(state.time)
    overlap.append((state.x * mu[0]).mean((-2, -1)))
    spectrum = model.spectrum(state.x, state.time)
    along.append(spectrum[:, 2, 1])  # the wave vector of mu, (2, 1) cycles across the lattice
    low.append(spectrum[:, 0, 0])

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
left.imshow(mu[0], cmap="gray")
left.set(title=r"$\mu$", xticks=[], yticks=[])
middle.semilogx(seen, np.array(overlap))
middle.set(xlabel="t", title=r"overlap $\langle\mu, x\rangle / N$")
right.semilogx(seen, np.median(along, axis=1), label=r"along the wave of $\mu$")
right.semilogx(seen, np.median(low, axis=1), label=r"$\lambda_0$")
right.axvline(model.critical_time, color="grey", linestyle="--")
right.set(xlabel="t", ylim=(-0.2, 1.2), xlim=(1, 50), title="derivative of the drift")
right.legend()
plt.show()
