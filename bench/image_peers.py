"""The posterior over all patches of a set of images by tree, matrix products and torch, in one process.

    python -m bench.image_peers DIRECTORY

DIRECTORY holds the Fashion-MNIST files. One thread; equality is checked first. Torch's log-sum-exp over all patterns is
timed on some sites and scaled to a field.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

import fastpatch as fp
from fastpatch.kernels import dense
from fastpatch.kernels.arguments import Law
from fastpatch.kernels.patch import tile_constants
from fastpatch.kernels.plan import PatchPlan
from fastpatch.neural.data import load_images
from fastpatch.threads import set_threads

__all__ = ["main"]

_TIME, _SITES = 1.0, 24


def _best(compute: Callable[[], Any], repeats: int) -> float:
    compute()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        compute()
        times.append(time.perf_counter() - begin)
    return min(times)


def main(directory: str) -> None:
    set_threads(1)
    images = load_images("train", "binarised", directory)
    begin = time.perf_counter()
    dictionary = fp.PatchDictionary.from_images(images, 5)
    print(f"dictionary of {len(dictionary)} patterns built in {time.perf_counter() - begin:.1f} s")
    rng = np.random.default_rng(0)
    image = load_images("test", "binarised", directory)[0, 0]
    kernels = fp.PatchModel(dictionary).tree
    assert kernels is not None

    def noised(t: float) -> NDArray[np.float32]:
        x = np.exp(-t / 2) * image + np.sqrt(-np.expm1(-t)) * rng.standard_normal(image.shape)
        return np.asarray(x[None], dtype=np.float32)

    slope = fp.VPSchedule().alpha(_TIME) / fp.VPSchedule().sigma2(_TIME)
    for t in (50.0, 1.0, 0.15, 0.09, 0.05, 0.01, 1e-3):
        x, here = noised(t), np.exp(-t / 2) / -np.expm1(-t)
        single = _best(lambda: kernels.posterior_mean(x, here), 5)  # noqa: B023
        response = _best(lambda: kernels.response(x, here), 2)  # noqa: B023
        wide = x.astype(np.float64)
        double = _best(lambda: kernels.posterior_mean(wide, here), 2)  # noqa: B023
        print(f"tree, t = {t:<6g} float32 {single:.4f} s, with response {response:.4f} s, float64 {double:.4f} s")
    x = noised(_TIME)
    tree = _best(lambda: kernels.posterior_mean(x, slope), 7)
    windows = sliding_window_view(np.pad(x[0], 2, mode="wrap"), (5, 5)).reshape(-1, 25)[:_SITES]
    found = kernels.posterior_mean(x, slope).ravel()[:_SITES]

    import torch

    torch.set_num_threads(1)
    patterns = torch.from_numpy(dictionary.patterns.reshape(-1, 25).astype(np.float32)).T.contiguous()
    log_prior = torch.from_numpy(np.log(dictionary.prior).astype(np.float32))
    centers = torch.from_numpy(dictionary.centers.astype(np.float32))
    y = torch.from_numpy(np.ascontiguousarray(windows))

    def by_torch() -> NDArray[np.float32]:
        logits = float(slope) * (y @ patterns) + log_prior
        weights = torch.exp(logits - torch.logsumexp(logits, dim=1, keepdim=True))
        return np.asarray(weights @ centers)

    # Torch adds millions of float32 weights one after the other.
    np.testing.assert_allclose(by_torch(), found, atol=1e-3)
    torch_seconds = _best(by_torch, 2) * x.size / _SITES
    print(f"tree {tree:.4f} s, torch {torch_seconds:.1f} s: {torch_seconds / tree:.0f} times", flush=True)

    plan = PatchPlan.of(dictionary.patterns, dictionary.prior)
    for dtype in (np.dtype(np.float64), np.dtype(np.float32)):
        law = Law(*(c[0] for c in tile_constants(plan, *fp.VPSchedule().amplitudes(np.array([_TIME])), dtype)))
        field = x.astype(dtype)
        begin = time.perf_counter()
        by_products = dense.posterior_mean(plan, law, field)
        products = time.perf_counter() - begin
        mine = _best(lambda: kernels.posterior_mean(field, slope), 3)  # noqa: B023
        apart = np.abs(by_products - kernels.posterior_mean(field, slope)).max()
        ratio = f"{products / mine:.1f} times; {apart:.1e} apart"
        print(f"{dtype}: tree {mine:.4f} s, matrix products {products:.2f} s: {ratio}")


if __name__ == "__main__":
    main(sys.argv[1])
