r"""
The closure predicts what the run does
======================================

A Gaussian closure of the machine's own dynamics, without a parameter: S(k) and :math:`\lambda(k)` follow from each
other down the run. Against a simulation: the derivative of the uniform mode, and the zero that the quoted formulas
miss.
"""

import matplotlib.pyplot as plt

import fastpatch as fp
from fastpatch import theory

dictionary = fp.PatchDictionary.random(uniform_mass=0.5, seed=2)
closure = theory.gaussian_closure(dictionary, shape=(48, 48), log2_points=8, replicates=2, tolerance=1e-3)
ds = fp.simulate(
    fp.PatchModel(dictionary), shape=(48, 48), trajectories=8, times=fp.log_time_grid(steps=1000), record_every=5
)
measured = ds.mode_derivative.mean("direction").sel(shell=0)

plt.figure(figsize=(6, 3.5), layout="constrained")
plt.plot(ds.time, measured.T, color="C0", alpha=0.2)
plt.plot(ds.time, measured.median("trajectory"), color="C0", label="simulation")
plt.plot(closure.time, closure.lambda_0, color="black", linestyle="--", label="closure")
for number, condition in enumerate(("score", "drift", "renormalised")):
    plt.axvline(
        theory.critical_time(condition, dictionary=dictionary), color=f"C{number + 1}", linestyle=":", label=condition
    )
plt.axhline(0, color="grey", linewidth=0.5)
plt.xscale("log")
plt.xlim(20, 1)
plt.ylim(-0.3, 0.55)
plt.xlabel("t")
plt.ylabel(r"$\lambda_0$")
plt.legend()
plt.show()
print(f"zero of the closure {closure.critical_time:.3f}")
