"""EDM2's residual block and the U-Net made of it (Karras et al., arXiv:2312.02696, config G)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from .layers import MPConv, MPFourier, Resampling, mp_cat, mp_silu, mp_sum, normalize, resample

__all__ = ["Balance", "Block", "UNet"]


@dataclass(frozen=True)
class Balance:
    """The shares t of `mp_sum` and `mp_cat`, and the magnitude at which a block's output is clipped."""

    label: float = 0.5
    concat: float = 0.5
    residual: float = 0.3
    attention: float = 0.3
    clip: float = 256.0


class Block(nn.Module):
    """One residual block, in the order of the encoder or of the decoder, with self-attention where ``heads`` > 0.

    (B, width_in, H, W) and the embedding (B, embedding) -> (B, width_out, H', W').
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        embedding: int,
        side: Literal["enc", "dec"],
        balance: Balance,
        *,
        mode: Resampling = "keep",
        heads: int = 0,
    ) -> None:
        super().__init__()
        self.side, self.mode, self.heads, self.balance = side, mode, heads, balance
        self.emb_gain = nn.Parameter(torch.zeros([]))
        self.conv_res0 = MPConv(width_out if side == "enc" else width_in, width_out, 3)
        self.emb_linear = MPConv(embedding, width_out)
        self.conv_res1 = MPConv(width_out, width_out, 3)
        self.conv_skip = MPConv(width_in, width_out, 1) if width_in != width_out else None
        self.attn_qkv = MPConv(width_out, 3 * width_out, 1) if heads else None
        self.attn_proj = MPConv(width_out, width_out, 1) if heads else None

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        x = resample(x, self.mode)
        if self.side == "enc":
            x = normalize(x if self.conv_skip is None else self.conv_skip(x), dims=(1,))
        scale = self.emb_linear(embedding, gain=self.emb_gain) + 1.0
        y = self.conv_res0(mp_silu(x))
        y = self.conv_res1(mp_silu(y * scale[:, :, None, None].to(y.dtype)))
        if self.side == "dec" and self.conv_skip is not None:
            x = self.conv_skip(x)
        x = mp_sum(x, y, self.balance.residual)
        if self.attn_qkv is not None and self.attn_proj is not None:
            x = mp_sum(x, self.attn_proj(self._attend(self.attn_qkv(x))), self.balance.attention)
        return nn.functional.hardtanh(x, -self.balance.clip, self.balance.clip)

    def _attend(self, qkv: Tensor) -> Tensor:
        """Cosine attention over the pixels: (B, 3 C, H, W), channels in the order (head, channel, q/k/v)."""
        batch, channels, height, width = qkv.shape
        per_head = channels // (3 * self.heads)
        parts = qkv.reshape(batch, self.heads, per_head, 3, height * width)
        query, key, value = normalize(parts, dims=(2,)).unbind(3)
        weights = torch.einsum("nhcq,nhck->nhqk", query, key / math.sqrt(per_head)).softmax(dim=3)
        return torch.einsum("nhqk,nhck->nhcq", weights, value).reshape(batch, -1, height, width)


class UNet(nn.Module):
    """F(x, c_noise, y), the raw network inside the preconditioning: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(
        self,
        img_resolution: int,
        img_channels: int,
        label_dim: int,
        model_channels: int,
        channel_mult: Sequence[int],
        num_blocks: int,
        attn_resolutions: Sequence[int],
        channels_per_head: int,
        balance: Balance,
    ) -> None:
        super().__init__()
        self.balance, self.label_dim = balance, label_dim
        widths = [model_channels * factor for factor in channel_mult]
        sides = [img_resolution >> level for level in range(len(widths))]
        embedding = max(widths)
        self.out_gain = nn.Parameter(torch.zeros([]))
        self.emb_fourier = MPFourier(model_channels)
        self.emb_noise = MPConv(model_channels, embedding)
        self.emb_label = MPConv(label_dim, embedding) if label_dim else None

        def block(
            width_in: int,
            width_out: int,
            side: Literal["enc", "dec"],
            resolution: int | None = None,
            mode: Resampling = "keep",
        ) -> Block:
            heads = width_out // channels_per_head if resolution in attn_resolutions else 0
            return Block(width_in, width_out, embedding, side, balance, mode=mode, heads=heads)

        self.enc = nn.ModuleDict()
        skips: list[int] = []
        last = img_channels + 1
        for level, (resolution, width) in enumerate(zip(sides, widths, strict=True)):
            name = f"{resolution}x{resolution}"
            if level == 0:
                self.enc[f"{name}_conv"] = MPConv(last, width, 3)
                last = width
            else:
                self.enc[f"{name}_down"] = block(last, last, "enc", mode="down")
            skips.append(last)
            for index in range(num_blocks):
                self.enc[f"{name}_block{index}"] = block(last, width, "enc", resolution)
                last = width
                skips.append(last)

        self.dec = nn.ModuleDict()
        lowest = len(widths) - 1
        for level in range(lowest, -1, -1):
            name, width = f"{sides[level]}x{sides[level]}", widths[level]
            if level == lowest:
                # The attention in the middle of the network is there whatever its resolution.
                self.dec[f"{name}_in0"] = Block(last, last, embedding, "dec", balance, heads=last // channels_per_head)
                self.dec[f"{name}_in1"] = block(last, last, "dec")
            else:
                self.dec[f"{name}_up"] = block(last, last, "dec", mode="up")
            for index in range(num_blocks + 1):
                self.dec[f"{name}_block{index}"] = block(last + skips.pop(), width, "dec", sides[level])
                last = width
        self.out_conv = MPConv(last, img_channels, 3)

    def forward(self, x: Tensor, c_noise: Tensor, one_hot: Tensor, dtype: torch.dtype) -> Tensor:
        """F in ``dtype``; the embedding of c_noise (B,) and of the label rows (B, labels) keeps its own."""
        embedding = self.emb_noise(self.emb_fourier(c_noise))
        if self.emb_label is not None:
            label = self.emb_label(one_hot * math.sqrt(self.label_dim))
            embedding = mp_sum(embedding, label, self.balance.label)
        embedding = mp_silu(embedding)

        x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1).to(dtype)
        skips: list[Tensor] = []
        for module in self.enc.values():
            x = module(x) if isinstance(module, MPConv) else module(x, embedding)
            skips.append(x)
        for name, module in self.dec.items():
            if "_block" in name:
                x = mp_cat(x, skips.pop(), self.balance.concat)
            x = module(x, embedding)
        output: Tensor = self.out_conv(x, gain=self.out_gain)
        return output
