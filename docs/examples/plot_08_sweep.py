r"""
A sweep: many runs into one dataset
===================================

A design of parameters, run on Dask into a store that any interruption leaves resumable, and read back as one lazy
dataset. Here: where :math:`\lambda_0` vanishes, against the prior mass of the two uniform patterns.
"""

import tempfile

import matplotlib.pyplot as plt
import numpy as np
from distributed import Client, LocalCluster

import fastpatch as fp
from fastpatch import theory

spec = {
    "title": "prior mass",
    "records": 300,
    "parameters": {"shape": 48, "uniform_mass": [0.3, 0.5, 0.7, 0.9], "steps": 600, "trajectories": 8},
}

with (
    LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
    Client(cluster) as client,
):
    ds = fp.sweep(spec, tempfile.mkdtemp(), client).compute()

zero_mode = ds.mode_derivative.mean("direction").sel(shell=0).median("trajectory")
crossing = [float(point.time.values[np.argmax(point.values < 0)]) for point in zero_mode]

plt.figure(figsize=(6, 3.5), layout="constrained")
plt.plot(ds.uniform_mass, crossing, "o", label="measured")
for condition in ("score", "drift", "renormalised"):
    times = [
        theory.critical_time(condition, dictionary=fp.PatchDictionary.random(uniform_mass=mass))
        for mass in ds.uniform_mass.values
    ]
    plt.plot(ds.uniform_mass, times, label=condition)
plt.xlabel("prior mass of the uniform patterns")
plt.ylabel(r"$\lambda_0$ vanishes at t")
plt.legend()
plt.show()
