"""Lattices in chunks on Dask: trajectories that are larger than a memory, spread over workers."""
