"""CUDA kernels of the patch machine, with the mathematics and the noise of `fastpatch.kernels.cpu`.

Imported only for a run on a GPU, or in Numba's CUDA simulator.
"""
