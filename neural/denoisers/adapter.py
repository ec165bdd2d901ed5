"""A network of anybody's as a denoiser D(x, sigma, class_labels) of images (B, C, H, W)."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import DtypeError, InvalidInputError
from ...validation import integer
from .predictions import Prediction, check_prediction, coefficients
from .schedules import NoiseSchedule

__all__ = ["AdaptedDenoiser", "Network", "image_sides"]

# network(input, time, labels): images (B, C, H, W) scaled as the network wants them, its own time (B,), and int64
# labels (B,) or None -> (B, C or 2 C, H, W).
Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class AdaptedDenoiser(nn.Module):
    """``D = c_skip y + c_out F(c_in y, time, labels)`` with the numbers of a schedule and a prediction.

    Nothing is clipped. Arithmetic is that of the network's dtype inside it and of the images' dtype outside; images
    of a batch do not influence one another if they do not in the network, which is not checked.

    Parameters
    ----------
    network
        See `Network`; a module among its parts is given in ``module`` to be moved, hashed and put into evaluation
        mode with this one.
    prediction, schedule
        What the network predicts, on which clock.
    image_shape
        (C, H, W).
    label_dim
        Number of classes or prompts, 0 without.
    unconditional
        Whether the network can be asked without a label.
    about
        JSON-ready facts for the provenance of a result.
    scheduler
        The scheduler object, where one belongs to the network, for the export of noise levels.

    Raises `InvalidInputError` for what `check_prediction` refuses or an image shape that is not three positive sides.
    """

    def __init__(
        self,
        network: Network,
        prediction: Prediction,
        schedule: NoiseSchedule,
        image_shape: tuple[int, int, int],
        *,
        module: nn.Module | None = None,
        label_dim: int = 0,
        unconditional: bool = True,
        about: Mapping[str, Any] | None = None,
        scheduler: Any = None,
    ) -> None:
        super().__init__()
        check_prediction(prediction, schedule)
        self.image_shape = image_sides(image_shape)
        self.label_dim = integer(label_dim, "label_dim", minimum=0)
        self.prediction: Prediction = prediction
        self.schedule, self.scheduler = schedule, scheduler
        self.has_unconditional = unconditional
        self.module = None if module is None else module.eval()
        self.architecture = {
            "prediction": prediction,
            "schedule": type(schedule).__name__,
            "image_shape": list(self.image_shape),
            **(about or {}),
        }
        self._network = network
        self.eval()

    @property
    def img_channels(self) -> int:
        return self.image_shape[0]

    @property
    def img_resolution(self) -> int:
        """The longer side; `image_shape` has both."""
        return max(self.image_shape[1:])

    def forward(self, x: Tensor, sigma: Any, class_labels: Tensor | None = None) -> Tensor:
        """D(x, sigma), shape and dtype of ``x`` (B, C, H, W); ``sigma`` is a number or (B,), labels are int64 (B,).

        Raises `InvalidInputError` for images of another shape, a missing label, or an output whose channels do not
        fit, `DtypeError` for labels that are not indices.
        """
        if x.ndim != 4 or tuple(x.shape[1:]) != self.image_shape:
            expected = ", ".join(map(str, self.image_shape))
            raise InvalidInputError(f"images have shape {tuple(x.shape)}; expected (B, {expected})")
        self._check_labels(class_labels)
        levels = np.atleast_1d(np.asarray(sigma.detach().cpu() if isinstance(sigma, Tensor) else sigma, np.float64))
        skip, out = coefficients(self.prediction, self.schedule, levels)
        inner = self.inner_dtype or x.dtype
        time = torch.from_numpy(self.schedule.time(levels)).to(x.device, torch.promote_types(inner, torch.float32))
        estimate = self._network(
            (self._column(self.schedule.scale(levels), x) * x).to(inner), time.expand(len(x)), class_labels
        )
        if estimate.shape[1] == 2 * self.img_channels:
            # Learned variance: the second half of the channels is no part of the mean.
            estimate = estimate[:, : self.img_channels]
        if estimate.shape != x.shape:
            raise InvalidInputError(
                f"the network returns shape {tuple(estimate.shape)} for images of shape {tuple(x.shape)}; expected the "
                "same, or twice the channels where the variance is learned"
            )
        denoised: Tensor = self._column(skip, x) * x + self._column(out, x) * estimate.to(x.dtype)
        return denoised

    @property
    def inner_dtype(self) -> torch.dtype | None:
        """The dtype of the network's weights; None where it has none and takes what it is given."""
        first = next((p for p in self.parameters() if p.is_floating_point()), None)
        return None if first is None else first.dtype

    @staticmethod
    def _column(values: Any, x: Tensor) -> Tensor:
        return torch.from_numpy(values).to(x.device, x.dtype).reshape(-1, 1, 1, 1)

    def _check_labels(self, labels: Tensor | None) -> None:
        if labels is None:
            if self.label_dim and not self.has_unconditional:
                raise InvalidInputError(
                    f"labels are missing for a conditional network of {self.label_dim} classes without an "
                    "unconditional counterpart; expected class labels, or null_label or null_condition of the adapter"
                )
        elif labels.ndim != 1 or labels.is_floating_point():
            raise DtypeError(
                f"class labels have shape {tuple(labels.shape)} and dtype {labels.dtype}; expected integers (B,)"
            )


def image_sides(shape: Any) -> tuple[int, int, int]:
    """(C, H, W) as three positive ints; raises `InvalidInputError` or `DtypeError`."""
    sides = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if len(sides) != 3:
        raise InvalidInputError(f"image_shape is {shape!r}; expected (C, H, W)")
    channels, height, width = (integer(side, "a side of image_shape", minimum=1) for side in sides)
    return channels, height, width
