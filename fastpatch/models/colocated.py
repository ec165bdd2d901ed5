"""The local score that knows where it is: patches compared with those at the same place of the images."""

from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DtypeError, InvalidInputError
from ..image_patches import checked_images, colocated_codes
from ..kernels import colocated, site_codes
from ..process import VPSchedule
from ..sign_patterns import LARGEST_CODED_SIZE
from .local import LocalPosteriorModel, pixel_patterns

__all__ = ["ColocatedPatchModel"]


class ColocatedPatchModel(LocalPosteriorModel):
    r"""Posterior at site i over the patches of N images around the same site (LS, arXiv 2412.20292).

    .. math:: w_a(i) \propto \exp\Bigl(-\frac{|y_i - \alpha p_a(i)|^2}{2\sigma^2}\Bigr), \qquad
              m_i = \sum_a w_a(i)\, X_a(i)

    Parameters
    ----------
    images
        Array (N, L1, L2) or (N, 1, L1, L2) of finite real numbers; held as float32.
    size
        Odd side P of a patch.
    boundary
        ``"padded"``: pixels outside are zero in field and images alike, so that they do not count; ``"periodic"``.
    schedule
        The forward process; ``VPSchedule()`` by default.

    Images of +-1 and patches up to 7 x 7 are evaluated by the distinct patches of a site, others image by image.
    Neither local in the sense of equivariant, nor a patch machine: every site has a dictionary of its own. Fields have
    the images' shape. Raises `InvalidInputError` or `DtypeError` for what does not fit.
    """

    def __init__(
        self, images: ArrayLike, size: int = 5, boundary: str = "padded", schedule: VPSchedule | None = None
    ) -> None:
        if boundary not in ("padded", "periodic"):
            raise InvalidInputError(f"boundary is {boundary!r}; expected 'padded' or 'periodic'")
        found, self.size, signs = checked_images(images, size, boundary)
        if schedule is not None and not isinstance(schedule, VPSchedule):
            raise DtypeError(f"schedule is a {type(schedule).__name__}; expected a VPSchedule")
        self.images: NDArray[np.float32] = np.ascontiguousarray(found, dtype=np.float32)
        self.boundary = boundary
        self._coded = signs and self.size <= LARGEST_CODED_SIZE
        self.schedule = VPSchedule() if schedule is None else schedule

    def __repr__(self) -> str:
        count, height, width = self.images.shape
        return f"ColocatedPatchModel({count} images of {height}x{width}, size={self.size}, {self.boundary})"

    @property
    def Omega(self) -> float:
        """Sites of a patch, P^2."""
        return float(self.size**2)

    def describe(self) -> dict[str, Any]:
        return {
            "type": "ColocatedPatchModel",
            "images": sha256(self.images.tobytes()).hexdigest(),
            "count": len(self.images),
            "size": self.size,
            "boundary": self.boundary,
            "beta": self.schedule.name,
        }

    def arrays(self) -> dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]:
        """None: the images are named by their digest in `describe`."""
        return {}

    def check_lattice(self, shape: tuple[int, int]) -> None:
        if shape != self.images.shape[1:]:
            expected = "x".join(map(str, self.images.shape[1:]))
            raise InvalidInputError(f"the lattice is {shape[0]}x{shape[1]}; expected that of the images, {expected}")

    def response(self, x: NDArray[Any], t: float) -> tuple[NDArray[Any], NDArray[np.float64]]:
        if self._coded:
            fields = [site_codes.response(field, self._sites, self._slope(t)) for field in x]
        else:
            fields = [colocated.response(field, *self._law(t)) for field in x]
        return np.stack(fields), pixel_patterns(self.size)

    def _posterior_mean(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        if self._coded:
            return np.stack([site_codes.posterior_mean(field, self._sites, self._slope(t)) for field in x])
        return np.stack([colocated.posterior_mean(field, *self._law(t)) for field in x])

    @cached_property
    def _sites(self) -> site_codes.SiteCodes:
        """The distinct patches of every site: of Fashion-MNIST 7200 of 5 x 5 on average, of 60 000 images."""
        periodic = self.boundary == "periodic"
        codes, counts, starts = colocated_codes(self.images, self.size, periodic)
        shape = (self.images.shape[1], self.images.shape[2])
        return site_codes.SiteCodes(shape, self.size, periodic, codes, np.log2(counts), starts)

    def _law(self, t: float) -> tuple[NDArray[np.float32], int, float, float, bool]:
        alpha = float(self.schedule.alpha(t))
        return self.images, self.size, self._slope(t), alpha, self.boundary == "periodic"
