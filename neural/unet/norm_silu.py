"""Group norm followed by SiLU; in bfloat16 on a CPU by kernels, since torch's are slow with the channels last."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...kernels.cpu.norm_silu import norm_silu, norm_silu_gradient
from ...kernels.pool import share

__all__ = ["NormSiLU"]

# One thread, forward or backward; only whether a second thread is worth waking depends on it.
_SECONDS_AN_ELEMENT = 5e-10


class NormSiLU(nn.GroupNorm):
    """SiLU of a group norm: (B, C, H, W) -> (B, C, H, W), with the weights of ``nn.GroupNorm``.

    A field of bfloat16 on a CPU takes a kernel where the weights are float32, as under autocast; everything else, and
    whatever a transform of ``torch.func`` asks for, torch's own. The kernel knows first derivatives in reverse mode,
    one at a time: in bfloat16 neither `torch.autograd.forward_ad` nor batched gradients, which say so.
    """

    def forward(self, x: Tensor) -> Tensor:
        mixed = x.dtype == torch.bfloat16 and self.weight.dtype == torch.float32
        if mixed and x.device.type == "cpu" and not _transformed():
            y: Tensor = _NormSiLU.apply(x, self.weight, self.bias, self.num_groups, self.eps)  # type: ignore[no-untyped-call]
            return y
        return nn.functional.silu(super().forward(x))


def _transformed() -> bool:
    """Whether a transform of ``torch.func`` is at work, of which torch has no public question; where unknown, yes."""
    return bool(getattr(torch._C, "_are_functorch_transforms_active", lambda: True)())


class _NormSiLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, epsilon: float) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        y = torch.empty_like(x)
        mean, scale = np.empty((2, len(x), len(weight)), np.float32)
        w, b = weight.detach().numpy(), bias.detach().numpy()
        _share(norm_silu, _flat(x), w, b, groups, np.float32(epsilon), _flat(y), mean, scale)
        ctx.save_for_backward(x, weight, bias)
        ctx.rest = groups, mean, scale
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        groups, mean, scale = ctx.rest
        dx = torch.empty_like(x)
        dweight, dbias = np.empty((2, *mean.shape), np.float32)
        dy = dy.contiguous(memory_format=torch.channels_last)
        w, b = weight.detach().numpy(), bias.detach().numpy()
        _share(norm_silu_gradient, _flat(x), _flat(dy), w, b, groups, mean, scale, _flat(dx), dweight, dbias)
        return dx, torch.from_numpy(dweight.sum(axis=0)), torch.from_numpy(dbias.sum(axis=0)), None, None


def _share(kernel: Any, x: NDArray[Any], *arguments: Any) -> None:
    share(kernel, x, *arguments, most=torch.get_num_threads(), seconds=_SECONDS_AN_ELEMENT * len(x))


def _flat(field: Tensor) -> NDArray[Any]:
    """The elements of a field with the channels last, as unsigned integers: NumPy has no bfloat16."""
    return field.detach().permute(0, 2, 3, 1).reshape(-1).view(torch.uint16).numpy()
