"""Any torch score as a `Model`, so that `fastpatch.simulate` and every observable work on a trained network."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..analysis import directional_derivatives, distinct_modes, finite_difference_step
from ..errors import InvalidInputError
from ..fingerprints import fingerprint
from ..process import VPSchedule
from ..validation import floating_field, integer, positive_time, shell_numbers
from .devices import Precision, evaluating, resolve_device
from .jvp import jacobian_products
from .vjp import transposed_products

__all__ = ["Method", "TorchModel"]

Method = Literal["jvp", "vjp", "finite-difference"]

# Evaluations carried at once: more leave the CPU's caches, and each pair of a field and a tangent takes 5 MB.
_BATCH = 32


class TorchModel:
    r"""Score, reverse drift and exact mode derivatives of a score that torch computes.

    Parameters
    ----------
    score
        ``score(x, t)`` for a tensor x (B, 1, L1, L2) of the given device and dtype and a float t, returning its shape.
        Fields of a batch must not influence one another; with ``method="jvp"`` it must be differentiable by
        `torch.func.jvp`. Neither is checked.
    schedule
        The forward process of which it is the score; ``VPSchedule()`` by default.
    method
        How `mode_derivatives` are taken: ``"jvp"`` and ``"vjp"``, exact by forward and by reverse mode, or
        ``"finite-difference"``, the paper's central differences with the step max(5e-5, 1e-3 sigma^2) (App. C.8), whose
        rounding in float32 is some 0.3 % of the largest derivative, hence all of a soft mode's. Reverse mode needs a
        score that torch can differentiate so, and the memory of its graph for ``batch`` fields; of convolutions on a
        CPU it is the fastest. `jacobian_products` are by forward mode always, `transposed_products` by reverse mode.
    device, dtype
        Where (see `resolve_device`) and in which precision the score is evaluated, whatever that of the fields.
    precision
        ``"bfloat16"`` takes the score, and with it drift and runs, and its derivatives by reverse mode by torch's
        autocast: faster where the device multiplies in bfloat16, and off by some 0.5 % of the network's output. Needs
        float32 as ``dtype``, in which forward mode and finite differences compute always.
    batch
        Most evaluations carried at once, which bounds the memory.

    Fields are NumPy arrays (..., L1, L2), float32 or float64; results have their dtype. On one machine with one number
    of threads results are reproducible bit for bit; between machines and between ways of grouping trajectories they
    agree up to rounding only, which a trajectory amplifies where it bifurcates.

    Raises `InvalidInputError` for an unknown method or precision, a score of another shape, or what `resolve_device`
    refuses.
    """

    schedule: VPSchedule

    def __init__(
        self,
        score: Callable[[Tensor, float], Tensor],
        schedule: VPSchedule | None = None,
        *,
        method: Method = "jvp",
        device: str | torch.device | None = "cpu",
        dtype: torch.dtype = torch.float32,
        precision: Precision = "float32",
        batch: int = _BATCH,
    ) -> None:
        if precision not in get_args(Precision):
            raise InvalidInputError(f"precision is {precision!r}; expected 'float32' or 'bfloat16'")
        if precision == "bfloat16" and dtype != torch.float32:
            raise InvalidInputError(f"precision is 'bfloat16' and dtype is {dtype}; expected torch.float32 with it")
        if method not in get_args(Method):
            raise InvalidInputError(f"method is {method!r}; expected one of {', '.join(map(repr, get_args(Method)))}")
        self.schedule = VPSchedule() if schedule is None else schedule
        self.method: Method = method
        self.precision: Precision = precision
        self._device, self._dtype = resolve_device(device), dtype
        self._batch = integer(batch, "batch", minimum=1)
        self._of_tensor = score

    def describe(self) -> dict[str, Any]:
        """JSON-ready identity: the score, by its name and by what it is made of, and what evaluates it."""
        return {**self._evaluation(), "score_sha256": fingerprint(self._of_tensor)}

    def _evaluation(self) -> dict[str, Any]:
        return {
            "type": type(self).__name__,
            "score": getattr(self._of_tensor, "__qualname__", type(self._of_tensor).__name__),
            "beta": self.schedule.name,
            "derivatives": self.method,
            "network_dtype": str(self._dtype).removeprefix("torch."),
            # Only where it is another: results are kept under what they said before there was a choice.
            **({} if self.precision == "float32" else {"precision": self.precision}),
            "device": self._device.type,
            "torch": torch.__version__,
        }

    def score(self, x: ArrayLike, t: float) -> NDArray[Any]:
        """s(x, t), same shape and dtype as ``x`` (..., L1, L2)."""
        return self._score(floating_field(x), positive_time(t), self.precision)

    def drift(self, x: ArrayLike, t: float) -> NDArray[Any]:
        """Reverse drift b = beta (-x/2 - s) (eq. 40), same shape and dtype as ``x``; time runs backwards along it."""
        return self._drift(floating_field(x), positive_time(t), self.precision)

    def jacobian_products(self, x: ArrayLike, t: float, directions: ArrayLike) -> NDArray[np.float64]:
        """Exact responses (db/dx) v of the drift, (..., M, L1, L2), to directions v (M, L1, L2) on the lattice of x.

        By forward mode. Responses are computed in the network's precision and returned as float64.
        """
        field, time, along = self._directions(x, t, directions, own=False)
        with evaluating(self._device):
            products = jacobian_products(
                lambda part: self._checked(part, time), self._tensor(field), self._tensor(along), self._batch
            )
        return self._responses(products, field, time, along)

    def transposed_products(self, x: ArrayLike, t: float, directions: ArrayLike) -> NDArray[np.float64]:
        """Exact products (db/dx)^T v, (..., M, L1, L2): by which parts of the field, and how, v . b is moved.

        By reverse mode, which of a convolutional network on a CPU takes half the time of `jacobian_products`. The
        directions v (M, L1, L2) are those of every field of ``x`` (..., L1, L2); (..., M, L1, L2) gives each its own.
        For an exact score both products are the same, since its Jacobian is symmetric. Computed in ``precision`` and
        returned as float64.
        """
        field, time, along = self._directions(x, t, directions, own=True)
        fields, flat = self._tensor(field), self._tensor(along)
        with evaluating(self._device), self._autocast(self.precision):
            products = transposed_products(
                lambda part: self._checked(_channels_last(part), time),
                fields,
                flat if along.ndim == 3 else flat.reshape(len(fields), -1, *flat.shape[1:]),
                self._batch,
            )
        return self._responses(products, field, time, along)

    def mode_derivatives(
        self, x: ArrayLike, t: float, shells: Any = range(7), *, diagonal: bool = False
    ) -> NDArray[Any]:
        """lambda_v = v^T (db/dx) v along the unit-norm modes of `fourier_modes`, (..., n_shells, directions)."""
        field, numbers = floating_field(x), shell_numbers(shells)
        modes, position = distinct_modes((field.shape[-2], field.shape[-1]), numbers, diagonal)
        if self.method == "finite-difference":
            time = positive_time(t)
            step = finite_difference_step(self.schedule.sigma2(time))
            derivatives = directional_derivatives(lambda y: self._drift(y, time, "float32"), field, modes, step)
        else:
            products = self.jacobian_products if self.method == "jvp" else self.transposed_products
            derivatives = np.einsum("...mij,mij->...m", products(field, t, modes), modes)
        return np.asarray(derivatives[..., position], dtype=field.dtype)

    def _autocast(self, precision: Precision) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=precision == "bfloat16")

    def _score(self, field: NDArray[Any], t: float, precision: Precision) -> NDArray[Any]:
        with torch.no_grad(), evaluating(self._device), self._autocast(precision):
            parts = torch.split(self._tensor(field), self._batch)
            found = torch.cat([self._checked(_channels_last(part), t) for part in parts])
        return self._array(found).reshape(field.shape).astype(field.dtype, copy=False)

    def _drift(self, field: NDArray[Any], t: float, precision: Precision) -> NDArray[Any]:
        score = self._score(field, t, precision)
        return np.asarray(self.schedule.rate(t) * (-0.5 * field - score), dtype=field.dtype)

    def _directions(
        self, x: ArrayLike, t: float, directions: ArrayLike, *, own: bool
    ) -> tuple[NDArray[Any], float, NDArray[Any]]:
        """Fields, time and directions, checked; with ``own``, every field may have its own directions."""
        field = floating_field(x)
        along = floating_field(directions, "directions", minimum_ndim=3)
        fields, lattice = field.shape[:-2], field.shape[-2:]
        if along.shape[-2:] != lattice or along.shape[:-3] not in ((), fields if own else ()):
            each = f", or that for every one of {fields} fields" if own and fields else ""
            raise InvalidInputError(
                f"directions has shape {along.shape}; expected (M, {lattice[0]}, {lattice[1]}){each}"
            )
        return field, positive_time(t), along

    def _responses(self, products: Tensor, field: NDArray[Any], t: float, along: NDArray[Any]) -> NDArray[np.float64]:
        """The drift's responses (..., M, L1, L2), from those of the score (B, M, 1, L1, L2)."""
        of_score = self._array(products).astype(np.float64).reshape(*field.shape[:-2], *along.shape[-3:])
        return np.asarray(self.schedule.rate(t) * (-0.5 * along - of_score))

    def _checked(self, x: Tensor, t: float) -> Tensor:
        score = self._of_tensor(x, t)
        if score.shape != x.shape:
            raise InvalidInputError(f"score(x, t) has shape {tuple(score.shape)}; expected that of x, {tuple(x.shape)}")
        return score

    def _tensor(self, field: NDArray[Any]) -> Tensor:
        # Fields may be lent read-only, which torch does not know.
        flat = np.require(field, requirements=("C", "W")).reshape(-1, 1, *field.shape[-2:])
        return torch.from_numpy(flat).to(device=self._device, dtype=self._dtype)

    def _array(self, tensor: Tensor) -> NDArray[Any]:
        # NumPy has no bfloat16.
        exact = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
        return np.asarray(exact.squeeze(-3).cpu().numpy())


def _channels_last(x: Tensor) -> Tensor:
    """x (B, 1, H, W) so that torch convolves with the channels last, 1.3 times as fast on a CPU.

    Of one channel both layouts are the same memory, and torch goes by the strides; forward derivatives keep to the
    common layout, since torch's forward mode of group norm refuses this one.
    """
    return x.as_strided(x.shape, (x.shape[2] * x.shape[3], 1, x.shape[3], 1))
