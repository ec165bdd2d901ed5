"""DINOv2 with its linear ImageNet head (Oquab et al., arXiv:2304.07193), through ``transformers``, offline."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import BackendUnavailableError, ResultFileError
from ..transformers_bars import without_progress_bars
from .base import check_images

__all__ = ["DINOv2", "preprocess"]

_SIDE = 224
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_FILES = ("config.json", "model.safetensors")


def preprocess(images: Tensor) -> Tensor:
    """Images (B, 1 or 3, H, W) in [-1, 1] as the network wants them: RGB, 224 x 224, ImageNet's mean and deviation.

    Resized to the full square by bicubic interpolation with antialiasing, and clipped to the range of an image
    before and after.
    """
    rgb = (images.float().clamp(-1.0, 1.0) * 0.5 + 0.5).expand(-1, 3, -1, -1)
    size = (_SIDE, _SIDE)
    large = nn.functional.interpolate(rgb, size=size, mode="bicubic", antialias=True, align_corners=False)
    mean, deviation = (large.new_tensor(values)[:, None, None] for values in (_MEAN, _STD))
    return (large.clamp(0.0, 1.0) - mean) / deviation


class DINOv2:
    """An image classifier of ``transformers``' Dinov2 family as a `Classifier`.

    Parameters
    ----------
    directory
        With ``config.json`` and ``model.safetensors``, as published for instance under
        ``facebook/dinov2-base-imagenet1k-1-layer``. Nothing is downloaded, and no pickle is read.
    device, batch
        Where it computes, and how many images at once.

    Raises `BackendUnavailableError` without ``transformers`` and `ResultFileError` for a directory without these
    files or with those of another model.
    """

    def __init__(self, directory: str | Path, *, device: torch.device | str | None = None, batch: int = 32) -> None:
        source = Path(directory).expanduser()
        try:
            from transformers import Dinov2Config, Dinov2ForImageClassification
        except ImportError as error:
            raise BackendUnavailableError(
                f'DINOv2 needs {error.name}, which is not installed; expected `pip install "fastpatch[imagenet]"`'
            ) from error
        missing = [name for name in _FILES if not (source / name).is_file()]
        if missing:
            raise ResultFileError(
                f"{source} has no {' and no '.join(missing)}; expected the files of "
                "facebook/dinov2-base-imagenet1k-1-layer from the Hugging Face hub, or of a model like it"
            )
        try:
            with without_progress_bars():
                config = Dinov2Config.from_pretrained(source, local_files_only=True)
                self._net, report = Dinov2ForImageClassification.from_pretrained(
                    source, config=config, local_files_only=True, use_safetensors=True, output_loading_info=True
                )
        except Exception as error:  # whatever transformers raises for files it does not understand
            raise ResultFileError(
                f"{source} is not a Dinov2 image classifier ({str(error).splitlines()[0]}); expected its "
                "config.json and model.safetensors"
            ) from error
        if config.model_type != "dinov2" or report["missing_keys"]:
            raise ResultFileError(
                f"{source} holds a model of type {config.model_type!r} without {len(report['missing_keys'])} of the "
                "weights; expected a Dinov2 image classifier"
            )
        self._net.to(device).eval().requires_grad_(False)
        self._batch = batch
        self._labels = tuple(str(config.id2label[index]) for index in range(config.num_labels))
        self._sha256 = hashlib.sha256((source / _FILES[1]).read_bytes()).hexdigest()

    @property
    def labels(self) -> tuple[str, ...]:
        return self._labels

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """See `Classifier`; one channel or three. Raises `InvalidInputError` or `DtypeError` otherwise."""
        check_images(images, channels=(1, 3))
        parts = torch.split(images, self._batch)
        return torch.cat([self._net(preprocess(part.to(self._net.device))).logits.float().cpu() for part in parts])

    def describe(self) -> dict[str, Any]:
        return {
            "name": "DINOv2",
            "hidden_size": self._net.config.hidden_size,
            "layers": self._net.config.num_hidden_layers,
            "labels": len(self._labels),
            "weights_sha256": self._sha256,
            "preprocessing": f"bicubic with antialiasing to {_SIDE} x {_SIDE}, ImageNet mean and deviation",
        }
