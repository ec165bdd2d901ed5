r"""The denoising loss of networks by noise level, on images that none of them was trained on.

:math:`E|x_0 - D(x_0 + \sigma\varepsilon)|^2 / \sigma^2` a pixel: the loss of a network that predicts the noise
(App. D.4), whatever the network itself predicts, and so the same unit for all. The posterior mean of the data's own
distribution has the least; between two networks the lower one is nearer to it.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ...errors import InvalidInputError
from ...provenance import environment
from ..denoiser import Denoiser, image_shape
from .clean_images import in_turn
from .information import measure_information, trained_range

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["held_out_loss"]


def held_out_loss(
    networks: Mapping[str, Denoiser],
    images: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    sigmas: ArrayLike | None = None,
    levels: int = 16,
    count: int = 256,
    seed: int = 0,
    batch: int | None = None,
    progress: bool = False,
) -> "xr.Dataset":
    """Every network on the same noisy images.

    Parameters
    ----------
    networks
        Denoisers of images of one shape, by name.
    images, labels
        Clean images (n, C, H, W) in the range of the networks, and their classes (n,) for those with labels.
    sigmas
        Strictly decreasing noise levels; by default ``levels`` of them, evenly spaced in log sigma over what the
        networks' schedules have in common.
    count
        How many images are used: the first so many, of each class in turn.
    seed, batch, progress
        As in `measure_information`.

    Returns
    -------
    xarray.Dataset
        ``loss`` (network, condition, sigma, image): the squared error of the noise a pixel. ``condition`` is "none",
        what the network says without a label, and "class", NaN for networks without labels. ``evaluations`` and
        ``provenance`` among the attributes.

    Raises
    ------
    InvalidInputError
        Without networks, for networks of different images, and what `measure_information` raises.
    NotFiniteError
        Where a network gives a value that is not finite.
    """
    import xarray as xr

    if not networks:
        raise InvalidInputError("no network is given; expected at least one")
    shapes = {name: image_shape(net) for name, net in networks.items()}
    first, expected = next(iter(shapes.items()))
    for name, shape in shapes.items():
        if shape != expected:
            raise InvalidInputError(f"{name} is for images {shape} and {first} for {expected}; expected one shape")
    ranges = [trained_range(net) for net in networks.values()]
    low, high = max(low for low, _ in ranges), min(high for _, high in ranges)
    grid = np.geomspace(high, low, levels) if sigmas is None else np.asarray(sigmas)
    pixels = int(np.prod(expected))
    # Chosen once, so that networks with and without labels get the same images.
    chosen = np.arange(len(np.asarray(images)))[:count] if labels is None else in_turn(np.asarray(labels), count)
    clean, classes = np.asarray(images)[chosen], None if labels is None else np.asarray(labels)[chosen]
    rows, runs, evaluations = [], {}, 0
    for name, net in networks.items():
        found = measure_information(
            net, clean, classes if net.label_dim else None, sigmas=grid, runs=count, seed=seed, batch=batch,
            progress=progress,
        )  # fmt: skip
        free = found["total_rate"]
        given = found["conditional_rate"] if net.label_dim else free * np.nan
        rows.append(xr.concat([free, given], dim="condition") / pixels)
        runs[name] = json.loads(found.attrs["provenance"])["run"]["network"]
        evaluations += found.attrs["evaluations"]
    loss = xr.concat(rows, dim="network", coords="minimal", compat="override").drop_vars("image_label", errors="ignore")
    loss.attrs = {"long_name": "squared error of the noise a pixel", "units": "1"}
    run = {"what": "held_out_loss", "networks": runs, "seed": seed, "images": loss.sizes["image"]}
    return xr.Dataset(
        {"loss": loss.transpose("network", "condition", "sigma", "image")},
        coords={"network": list(networks), "condition": ["none", "class"]},
        attrs={
            "evaluations": evaluations,
            "provenance": json.dumps({"run": run, "environment": environment()}, sort_keys=True),
        },
    )
