"""The complete state of a training between two optimiser steps, and its file."""

import io
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..atomic import atomic_path
from ..digests import append_digest, check_digest
from ..errors import InvalidInputError, ResultFileError
from ..identity import differences
from ..messages import reason

__all__ = ["Progress", "load_checkpoint", "save_checkpoint"]

_FORMAT = 2


@dataclass
class Progress:
    """Where a training stands. With the seed it fixes all later random draws: each is keyed by its epoch or step.

    Attributes
    ----------
    epoch, batch
        Completed epochs, and completed batches of the one under way.
    steps
        Completed optimiser steps.
    loss_sum, images
        Sum of the losses over the images of the epoch under way, and their number.
    loss_per_epoch
        Mean training loss of each completed epoch.
    devices
        What it has been computed on, in order.
    continues
        The card of the weights that it began with, None for those of its seed.
    """

    epoch: int = 0
    batch: int = 0
    steps: int = 0
    loss_sum: float = 0.0
    images: int = 0
    loss_per_epoch: list[float] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    continues: dict[str, Any] | None = None


def save_checkpoint(
    path: Path,
    identity: Mapping[str, Any],
    progress: Progress,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Replace ``path`` in one step; ``identity`` holds all the settings that the training's course depends on.

    ``modules`` names what is trained and what is kept beside it, such as a moving average.
    The content is tensors, numbers and strings only, so ``torch.load(path, weights_only=True)`` reads it; the file
    ends with its digest.
    Raises `OutputError` where the file cannot be written.
    """
    buffer = io.BytesIO()
    content = {
        "format": _FORMAT,
        "identity": dict(identity),
        "progress": asdict(progress),
        **{name: module.state_dict() for name, module in modules.items()},
        "optimizer": optimizer.state_dict(),
    }
    torch.save(content, buffer)
    # Through memory, so that a full disk is the OSError that `atomic_path` reports and not one of torch's own.
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())
        append_digest(temporary)


def load_checkpoint(
    path: Path, identity: Mapping[str, Any], modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer
) -> Progress | None:
    """Restore ``modules`` and ``optimizer`` in place and return the progress, or None where there is no checkpoint.

    Raises `InvalidInputError` if the checkpoint was made under another identity, naming every setting that
    differs, and `ResultFileError` for a file that is damaged or not such a checkpoint. One without a digest, as
    earlier versions wrote them, is accepted.
    """
    if not path.exists():
        return None
    try:
        check_digest(path)
        # `load_state_dict` copies to wherever module and optimiser are.
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}, expected {_FORMAT}")
        differing = differences(content["identity"], identity)
        if not differing:
            for name, module in modules.items():
                module.load_state_dict(content[name])
            optimizer.load_state_dict(content["optimizer"])
            return Progress(**{entry.name: content["progress"][entry.name] for entry in fields(Progress)})
    except pickle.UnpicklingError:  # torch's words advise to read it all the same
        raise _unreadable(path, "it holds other objects than tensors, numbers and text") from None
    except Exception as error:  # whatever reading a foreign or damaged file raises
        raise _unreadable(path, reason(error)) from error
    raise InvalidInputError(
        f"{path} belongs to another training, with {', '.join(differing)}; "
        "expected the same settings, or another output directory"
    )


def _unreadable(path: Path, why: str) -> ResultFileError:
    return ResultFileError(f"{path} is not a readable checkpoint ({why}); expected one written by this training")
