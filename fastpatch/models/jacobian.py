"""The whole Jacobian of a local drift on a periodic lattice, as an operator and as a sparse matrix."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from ..validation import floating_field

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["LocalJacobian"]


@dataclass(frozen=True, eq=False)
class LocalJacobian:
    r"""J with :math:`(Jv)_i = \sum_{|u_\mu|\le R} K_u(i)\,v_{i+u}` on a periodic lattice, for one field or a batch.

    Attributes
    ----------
    kernels : (..., P, P, L1, L2)
        K_u(i), float64; the index [R, R] is u = 0.
    """

    kernels: NDArray[np.float64]

    def __matmul__(self, v: ArrayLike) -> NDArray[np.float64]:
        """J v for v (..., L1, L2), broadcasting against the batch."""
        field = self._checked(v)
        total = np.zeros(np.broadcast_shapes(field.shape, (*self.kernels.shape[:-4], *field.shape[-2:])))
        for a, b, u in self._offsets():
            total += self.kernels[..., a, b, :, :] * np.roll(field, (-u[0], -u[1]), axis=(-2, -1))
        return total

    def transposed(self, w: ArrayLike) -> NDArray[np.float64]:
        """J^T w for w (..., L1, L2), broadcasting against the batch."""
        field = self._checked(w)
        total = np.zeros(np.broadcast_shapes(field.shape, (*self.kernels.shape[:-4], *field.shape[-2:])))
        for a, b, u in self._offsets():
            total += np.roll(self.kernels[..., a, b, :, :] * field, u, axis=(-2, -1))
        return total

    def matrix(self) -> "csr_array":
        """The sparse matrix (N, N) of one field, N = L1 L2, sites in row-major order.

        Raises `InvalidInputError` for a batch.
        """
        from scipy.sparse import coo_array

        if self.kernels.ndim != 4:
            raise InvalidInputError(f"the Jacobian is of a batch {self.kernels.shape[:-4]}; expected one field")
        shape = self.kernels.shape[-2:]
        sites = np.arange(shape[0] * shape[1]).reshape(shape)
        offsets = list(self._offsets())
        columns = np.concatenate([np.roll(sites, (-u[0], -u[1]), axis=(0, 1)).ravel() for _, _, u in offsets])
        entries = np.concatenate([self.kernels[a, b].ravel() for a, b, _ in offsets])
        rows = np.tile(sites.ravel(), len(offsets))
        return coo_array((entries, (rows, columns)), shape=(sites.size, sites.size)).tocsr()

    def _offsets(self) -> Any:
        reach = self.kernels.shape[-3] // 2
        for a in range(2 * reach + 1):
            for b in range(2 * reach + 1):
                yield a, b, (a - reach, b - reach)

    def _checked(self, v: ArrayLike) -> NDArray[np.float64]:
        field = floating_field(v, "v")
        if field.shape[-2:] != self.kernels.shape[-2:]:
            raise InvalidInputError(
                f"v lives on a lattice {field.shape[-2:]}; expected that of x, {self.kernels.shape[-2:]}"
            )
        return field.astype(np.float64)
