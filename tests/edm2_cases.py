"""EDM2 networks and reference numbers that several test files share."""

from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "edm2"

TINY = {
    "img_resolution": 16,
    "img_channels": 3,
    "label_dim": 10,
    "model_channels": 64,
    "channel_mult": [1, 2],
    "num_blocks": 1,
    "attn_resolutions": [8],
}


def shared_file(name):
    """A file that comes with the references, or a skipped test."""
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"no reference file {name} beside this checkout")
    return path


def reference():
    """Inputs and outputs of a released-format network, as arrays by name."""
    with np.load(shared_file("edm2-tiny.npz")) as file:
        return {name: file[name] for name in file.files}


def reference_network(dtype=None):
    """The network of `reference`, its stored half-precision tensors widened to ``dtype``, float32 by default."""
    import torch

    from fastpatch.neural.edm2.network import EDM2Network

    with np.load(shared_file("edm2-tiny-state.npz")) as file:
        state = {name: torch.from_numpy(file[name]) for name in file.files}
    net = EDM2Network(**TINY).to(torch.float32 if dtype is None else dtype)
    net.load_state_dict(state)
    return net.eval()


def random_network(seed=0, *, dtype=None, **changes):
    """A small network whose gains are not zero, so that its output depends on everything: 1 channel, 8 x 8."""
    import torch

    from fastpatch.neural.edm2.network import EDM2Network

    small = {
        "img_resolution": 8,
        "img_channels": 1,
        "label_dim": 3,
        "model_channels": 8,
        "channel_mult": [1, 2],
        "num_blocks": 1,
        "attn_resolutions": [4],
        "channels_per_head": 8,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = EDM2Network(**{**small, **changes})
        for name, weight in net.named_parameters():
            if name.endswith("gain"):
                torch.nn.init.uniform_(weight, 0.3, 1.0)
    return net.to(torch.float32 if dtype is None else dtype).eval()
