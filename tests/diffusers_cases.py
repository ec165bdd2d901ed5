"""Five small networks of diffusers with random weights, and the schedulers that go with each kind of prediction."""

import diffusers
import torch
from torch import nn

ARCHITECTURES = ("attention", "group norm", "DiT", "learned variance", "conditional")


def network(architecture: str) -> nn.Module:
    """A network whose output depends on all of its input: layers that start at zero are drawn too."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = _network(architecture)
        for weight in net.parameters():
            if float(weight.detach().abs().max()) == 0.0:
                nn.init.normal_(weight, std=0.05)
    return net.eval().requires_grad_(False)


def _network(architecture: str) -> nn.Module:
    unet = {"sample_size": (8, 12), "block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 4}
    plain = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2, "add_attention": False}
    match architecture:
        case "attention":
            return diffusers.UNet2DModel(
                **unet, in_channels=3, out_channels=3, attention_head_dim=8, num_class_embeds=4,
                down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            )  # fmt: skip
        case "group norm":
            return diffusers.UNet2DModel(**unet, **plain, in_channels=1, out_channels=1)
        case "learned variance":
            return diffusers.UNet2DModel(**unet, **plain, in_channels=2, out_channels=4)
        case "DiT":
            return diffusers.DiTTransformer2DModel(
                num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=8, num_layers=2,
                sample_size=8, patch_size=2, num_embeds_ada_norm=10,
            )  # fmt: skip
        case _:
            return diffusers.UNet2DConditionModel(
                sample_size=8, in_channels=4, out_channels=4, block_out_channels=(32, 32), layers_per_block=1,
                down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
                cross_attention_dim=16, attention_head_dim=8, norm_num_groups=8,
            )  # fmt: skip


def conditioning(architecture: str) -> dict[str, torch.Tensor]:
    if architecture != "conditional":
        return {}
    generator = torch.Generator().manual_seed(5)
    return {
        "conditions": torch.randn(3, 5, 16, generator=generator),
        "null_condition": torch.randn(5, 16, generator=generator),
    }
