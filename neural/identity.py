"""What tells one trained network from another."""

import hashlib
from typing import Any

import torch
from torch import nn

__all__ = ["network_identity"]


def network_identity(net: nn.Module) -> dict[str, Any]:
    """The network's ``architecture`` and the SHA-256 of names and values of all that its state holds; JSON-ready."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        # As bytes: NumPy has no bfloat16.
        digest.update(
            name.encode() + tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
        )
    return {"architecture": getattr(net, "architecture", None), "weights_sha256": digest.hexdigest()}
