"""Group norm followed by SiLU; in training on a CPU by kernels, since torch's are slow with the channels last."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...kernels.cpu.norm_silu import norm_silu, norm_silu_gradient
from ...kernels.pool import share

__all__ = ["NormSiLU", "take_kernels"]

# One thread, forward or backward; only whether a second thread is worth waking depends on it.
_SECONDS_AN_ELEMENT = 5e-10


class NormSiLU(nn.GroupNorm):
    """SiLU of a group norm: (B, C, H, W) -> (B, C, H, W), with the weights of ``nn.GroupNorm``.

    With ``by_kernel`` set, a field of float32 or bfloat16 on a CPU, and weights of float32, take a kernel, which knows
    first derivatives in reverse mode and none of ``torch.func``'s transforms: enough for training. So does a field of
    bfloat16 where no gradients are kept. Everything else is torch's own.
    """

    by_kernel = False

    def forward(self, x: Tensor) -> Tensor:
        evaluated = x.dtype == torch.bfloat16 and not torch.is_grad_enabled()
        trained = self.by_kernel and x.dtype in (torch.float32, torch.bfloat16)
        if (evaluated or trained) and x.device.type == "cpu" and self.weight.dtype == torch.float32:
            y: Tensor = _NormSiLU.apply(x, self.weight, self.bias, self.num_groups, self.eps)  # type: ignore[no-untyped-call]
            return y
        return nn.functional.silu(super().forward(x))


def take_kernels(net: nn.Module) -> nn.Module:
    """``net``, of which from now on nothing is asked but values and gradients: its layers here take the kernels."""
    for module in net.modules():
        if isinstance(module, NormSiLU):
            module.by_kernel = True
    return net


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
    """The elements of a field with the channels last, bfloat16 as unsigned integers."""
    flat = field.detach().permute(0, 2, 3, 1).reshape(-1)
    return flat.view(torch.uint16).numpy() if field.dtype == torch.bfloat16 else flat.numpy()
