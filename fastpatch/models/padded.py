"""The patch machine of images on a zero-padded lattice, as a zero-padded network sees it."""

from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DtypeError, InvalidInputError
from ..image_patches import checked_images, overlap_shapes, padded_codes
from ..kernels.tree import PatchTree, TreeKernels
from ..process import VPSchedule
from ..sign_patterns import LARGEST_CODED_SIZE
from .local import LocalPosteriorModel, pixel_patterns

__all__ = ["PaddedPatchModel"]


class PaddedPatchModel(LocalPosteriorModel):
    r"""Posterior over all patches of images that overlap the boundary as the neighbourhood of site i does.

    The equivariant local score with broken boundaries (ELS of Kamb and Ganguli, arXiv 2412.20292): eqs. 36-38 with a
    dictionary for every overlap, pixels outside left out of the distance. Away from the boundary it is the patch
    machine of the interior patches.

    Parameters
    ----------
    images
        Array (N, H, W) or (N, 1, H, W) of +-1.
    size
        3, 5 or 7, the side P of a patch.
    schedule
        The forward process; ``VPSchedule()`` by default.

    Fields may be of another shape than the images, with sides of at least P. They are evaluated in their own
    precision, by one tree a kind of overlap. Raises `InvalidInputError` or `DtypeError` for what does not fit.
    """

    def __init__(self, images: ArrayLike, size: int = 5, schedule: VPSchedule | None = None) -> None:
        found, self.size, signs = checked_images(images, size, "padded")
        if not signs or not 3 <= self.size <= LARGEST_CODED_SIZE:
            what = "images are not all +-1" if not signs else f"size is {self.size}"
            raise InvalidInputError(f"{what}; expected images of +-1 and a size of 3, 5 or 7")
        if schedule is not None and not isinstance(schedule, VPSchedule):
            raise DtypeError(f"schedule is a {type(schedule).__name__}; expected a VPSchedule")
        self.schedule = VPSchedule() if schedule is None else schedule
        shapes, codes, counts = padded_codes(found, self.size)
        self._digest = sha256(shapes.tobytes() + codes.tobytes() + counts.tobytes()).hexdigest()
        self._trees = {}
        for shape in np.unique(shapes):
            here = shapes == shape
            tree = PatchTree.of(codes[here], counts[here] / counts[here].sum(), self.size)
            self._trees[int(shape)] = TreeKernels(tree)
        self._patches = codes.size

    def __repr__(self) -> str:
        return f"PaddedPatchModel({self._patches} patches of {self.size}x{self.size}, digest {self._digest[:12]})"

    @property
    def Omega(self) -> float:
        """Sites of a patch, P^2."""
        return float(self.size**2)

    def describe(self) -> dict[str, Any]:
        return {
            "type": "PaddedPatchModel",
            "patches": self._digest,
            "count": self._patches,
            "size": self.size,
            "beta": self.schedule.name,
        }

    def arrays(self) -> dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]:
        """None: the patches are named by their digest in `describe`."""
        return {}

    def check_lattice(self, shape: tuple[int, int]) -> None:
        if min(shape) < self.size:
            raise InvalidInputError(
                f"the lattice is {shape[0]}x{shape[1]}; expected sides of at least the patch size {self.size}"
            )

    def response(self, x: NDArray[Any], t: float) -> tuple[NDArray[Any], NDArray[np.float64]]:
        padded, inner = self._padded(x)
        fields = np.zeros((len(x), self.size**2, *padded.shape[1:]), dtype=x.dtype)
        for kernels, sites in self._parts(x, padded):
            found = kernels.response(padded, self._slope(t), sites)[1]
            field, row, column = np.unravel_index(sites, padded.shape)
            fields[field, :, row, column] = found[field, :, row, column]
        # A pixel outside is no variable.
        radius = self.size // 2
        inside = np.pad(np.ones(x.shape[1:], dtype=x.dtype), 2 * radius)
        for u in range(self.size):
            for v in range(self.size):
                fields[:, u * self.size + v] *= inside[u : u + padded.shape[1], v : v + padded.shape[2]]
        return np.ascontiguousarray(fields[:, :, inner[0], inner[1]]), pixel_patterns(self.size)

    def _precision(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return dtype

    def _posterior_mean(self, x: NDArray[Any], t: float) -> NDArray[Any]:
        padded, inner = self._padded(x)
        mean = np.empty_like(padded)
        for kernels, sites in self._parts(x, padded):
            mean.flat[sites] = kernels.posterior_mean(padded, self._slope(t), sites).flat[sites]
        return np.ascontiguousarray(mean[:, inner[0], inner[1]])

    def _padded(self, x: NDArray[Any]) -> tuple[NDArray[Any], tuple[slice, slice]]:
        """The fields with zeros around them, which favour neither sign, and where they lie."""
        radius = self.size // 2
        inner = slice(radius, radius + x.shape[1]), slice(radius, radius + x.shape[2])
        return np.pad(x, [(0, 0), (radius, radius), (radius, radius)]), inner

    def _parts(self, x: NDArray[Any], padded: NDArray[Any]) -> list[tuple[TreeKernels, NDArray[np.int64]]]:
        """The kernels of every kind of overlap with the numbers of its sites in the padded batch."""
        radius = self.size // 2
        shapes = np.pad(overlap_shapes(x.shape[1], x.shape[2], self.size), radius, constant_values=-1)
        everywhere = np.broadcast_to(shapes, padded.shape).ravel()
        return [(kernels, np.flatnonzero(everywhere == shape)) for shape, kernels in self._trees.items()]
