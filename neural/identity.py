"""What tells one trained network from another, whatever file it came from."""

import hashlib
from typing import Any

from torch import nn

__all__ = ["network_identity"]


def network_identity(net: nn.Module) -> dict[str, Any]:
    """The network's ``architecture`` and the SHA-256 of names and values of all that its state holds; JSON-ready."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
    return {"architecture": getattr(net, "architecture", None), "weights_sha256": digest.hexdigest()}
