"""Do samples look like the data without being copies of it? Simple statistics of both, side by side."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...analysis import correlation_length, radial_correlation
from ...errors import InvalidInputError
from ...validation import floating_field, integer

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["compare_with_data", "nearest_neighbours"]

# Held-out images whose statistics stand beside the samples'; more would only cost time.
_REFERENCES = 1000
_BLOCK = 8192


def compare_with_data(
    samples: ArrayLike, train: ArrayLike, test: ArrayLike, *, binarised: bool = True, seed: int = 0
) -> "xr.Dataset":
    """Statistics of samples (n, L1, L2) beside those of held-out images, as a labelled dataset.

    ``train`` and ``test`` are (n, L1, L2), float32 or float64. With ``binarised`` everything is taken on sign fields,
    on which the residual noise of a sample has no influence. Over the dims ``sample`` and ``reference``, the latter
    at most 1000 random test images:

    - ``sample_mean``, ``reference_mean``: mean pixel of each image;
    - ``sample_length``, ``reference_length``: xi_x of each image, in sites;
    - ``sample_correlation``, ``reference_correlation`` (r): average C(r), of values minus their mean where not
      ``binarised``;
    - ``sample_to_train``, ``sample_to_test``, ``reference_to_train``: root-mean-square difference a pixel to the
      nearest image of either set;
    - ``nearest`` (sample, y, x): the training image nearest to each sample.

    A model that memorises puts its samples nearer to the training set than held-out images are. Whether it does can
    also be told from how many samples have a training image as the nearest of all: training and test images being
    drawn alike, their expected share otherwise is that of ``train`` in both sets together, attribute ``train_share``.
    That they are drawn alike is not checked. Raises `InvalidInputError` unless all images have one lattice.
    """
    images = {"samples": samples, "train": train, "test": test}
    fields = {name: floating_field(values, name, minimum_ndim=3) for name, values in images.items()}
    if any(values.ndim != 3 or values.shape[1:] != fields["train"].shape[1:] for values in fields.values()):
        shapes = {name: values.shape for name, values in fields.items()}
        raise InvalidInputError(f"images have shapes {shapes}; expected (n, L1, L2) on one lattice")
    if binarised:
        signs = (np.float32(1.0), np.float32(-1.0))
        fields = {name: np.where(values >= 0.0, *signs) for name, values in fields.items()}
    drawn, learned, held_out = fields["samples"], fields["train"], fields["test"]
    count = min(_REFERENCES, len(held_out))
    rng = np.random.default_rng(integer(seed, "seed", minimum=0))
    references = held_out[np.sort(rng.choice(len(held_out), size=count, replace=False))]
    at, to_train = nearest_neighbours(drawn, learned)
    _, to_test = nearest_neighbours(drawn, held_out)
    _, between = nearest_neighbours(references, learned)

    import xarray as xr

    def length(group: NDArray[Any]) -> NDArray[np.float64]:
        found = correlation_length(group) if binarised else correlation_length(group, "second-moment", False)
        return np.asarray(found)

    variables = {}
    for name, group in (("sample", drawn), ("reference", references)):
        variables[f"{name}_mean"] = ((name,), group.mean(axis=(-2, -1), dtype=np.float64))
        variables[f"{name}_length"] = ((name,), length(group))
        variables[f"{name}_correlation"] = (("r",), radial_correlation(group, binarize=binarised).mean(axis=0))
    return xr.Dataset(
        {
            **variables,
            "sample_to_train": (("sample",), to_train),
            "sample_to_test": (("sample",), to_test),
            "reference_to_train": (("reference",), between),
            "nearest": (("sample", "y", "x"), learned[at]),
        },
        attrs={"train_share": len(learned) / (len(learned) + len(held_out)), "binarised": int(binarised)},
    )


def nearest_neighbours(queries: ArrayLike, images: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Index of the nearest of ``images`` (m, L1, L2) for each of ``queries`` (n, L1, L2), and its distance.

    The distance is the root of the mean squared difference a pixel, computed in float32 from inner products: it errs
    by about 3e-4 where it is near zero.
    """
    found, references = (
        values.reshape(len(values), -1).astype(np.float32, copy=False)
        for values in (floating_field(queries, "queries"), floating_field(images, "images"))
    )
    best = np.full(len(found), np.inf, dtype=np.float32)
    index = np.zeros(len(found), dtype=np.intp)
    for start in range(0, len(references), _BLOCK):
        block = references[start : start + _BLOCK]
        # |q|^2, the same for every image, is added at the end.
        distance = np.einsum("ij,ij->i", block, block) - 2.0 * (found @ block.T)
        nearest = distance.argmin(axis=1)
        smallest = distance[np.arange(len(found)), nearest]
        closer = smallest < best
        best[closer], index[closer] = smallest[closer], start + nearest[closer]
    squared = np.maximum(best + np.einsum("ij,ij->i", found, found), 0.0)
    return index, np.sqrt(squared.astype(np.float64) / found.shape[1])
