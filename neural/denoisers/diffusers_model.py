"""Calling a model of diffusers with its own arguments: times, classes, prompt embeddings."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...errors import FastpatchError, InvalidInputError
from ...messages import reason

__all__ = ["ModelCall", "image_shape_of"]


class ModelCall:
    """A `Network` around any module that is called as ``model(x, timestep, …)`` and returns a tensor or a ``sample``.

    Parameters
    ----------
    model
        `UNet2DModel`, `UNet2DConditionModel`, `DiTTransformer2DModel`, or anything with the same call.
    null_label
        The class index that stands for "no class"; it has to be the last one, and is then no class of its own.
    conditions, null_condition
        Embeddings (K, L, D) of K prompts, which labels number, and (L, D) of the empty prompt.
    arguments
        Further keyword arguments of every call; tensors of one row are repeated for the batch.

    Attributes
    ----------
    label_dim : int
        Classes or prompts.
    unconditional : bool
        Whether it can be asked without.

    Raises `InvalidInputError` for a conditional model without embeddings, embeddings for another, or an index that is
    not the last.
    """

    def __init__(
        self,
        model: Any,
        *,
        null_label: int | None = None,
        conditions: Tensor | None = None,
        null_condition: Tensor | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self._model, self._answered = model, False
        self._arguments = dict(arguments or {})
        self._accepted = set(inspect.signature(model.forward).parameters)
        name, config = type(model).__name__, getattr(model, "config", {})
        self.conditions, self._null_condition = conditions, null_condition
        embeds = config.get("addition_embed_type")
        if embeds is not None and "added_cond_kwargs" not in self._arguments:
            raise InvalidInputError(
                f"{name} needs embeddings beside those of its prompts (addition_embed_type {embeds!r}), as those of "
                "Stable Diffusion XL do; expected added_cond_kwargs among arguments and conditions (K, L, D)"
            )
        needs_text = "encoder_hidden_states" in self._accepted and "encoder_hidden_states" not in self._arguments
        if conditions is not None and not needs_text:
            raise InvalidInputError(f"conditions are given to {name}, which takes no embeddings; expected none")
        if needs_text and conditions is None and config.get("cross_attention_dim") is not None:
            raise InvalidInputError(
                f"{name} needs embeddings of its prompts; expected prompts (--prompts on the command line) and a "
                "pipeline with its text encoder, or conditions (K, L, D)"
            )
        if conditions is not None:
            if conditions.ndim != 3:
                raise InvalidInputError(f"conditions have shape {tuple(conditions.shape)}; expected (K, L, D)")
            width = config.get("cross_attention_dim")
            if isinstance(width, int) and conditions.shape[-1] != width:
                raise InvalidInputError(
                    f"conditions have {conditions.shape[-1]} channels; expected the {width} of {name}"
                )
            self.label_dim, self.unconditional = len(conditions), null_condition is not None
            self._null: int | None = None
            return
        # DiT keeps one more embedding than it has classes, for none of them.
        dit = config.get("num_embeds_ada_norm") if config.get("norm_type") == "ada_norm_zero" else None
        classes = dit or config.get("num_class_embeds") or 0
        self._null = dit if null_label is None and dit else null_label
        last = classes if dit else classes - 1
        if self._null is not None and self._null != last:
            raise InvalidInputError(
                f"null_label is {self._null} for a model of {classes} class embeddings; "
                + (f"expected the last, {last}" if classes else "expected none")
            )
        self.label_dim = int(classes if self._null in (None, classes) else classes - 1)
        self.unconditional = not classes or self._null is not None

    def __call__(self, x: Tensor, time: Tensor, labels: Tensor | None) -> Tensor:
        given: dict[str, Any] = {name: _rows(value, len(x)) for name, value in self._arguments.items()}
        if "return_dict" in self._accepted:
            given["return_dict"] = False
        if self.conditions is not None:
            table = self.conditions.to(x.device, x.dtype)
            if labels is None:
                assert self._null_condition is not None
                rows = self._null_condition.to(x.device, x.dtype).repeat(len(x), 1, 1)
            else:
                rows = table[labels]
            given["encoder_hidden_states"] = rows
        elif self.label_dim:
            if labels is None:
                labels = torch.full((len(x),), self._null or 0, dtype=torch.int64, device=x.device)
            given["class_labels"] = labels
        try:
            found = self._model(x, timestep=time, **given)
        except (TypeError, ValueError, AttributeError) as error:
            if self._answered or isinstance(error, FastpatchError):
                raise
            raise InvalidInputError(
                f"{type(self._model).__name__} cannot be called with images, a time and {' and '.join(given)} "
                f"({reason(error)}); expected a model that can, or what else it needs as arguments"
            ) from error
        self._answered = True
        tensor: Tensor = found[0] if isinstance(found, tuple) else getattr(found, "sample", found)
        return tensor


def image_shape_of(model: Any, given: tuple[int, int, int] | None) -> tuple[int, int, int]:
    """(C, H, W) that a model's configuration names, or ``given``; any H, W can be given to a convolutional model.

    Raises `InvalidInputError` where neither names one, or a given C or the number of output channels does not fit.
    """
    config, name = getattr(model, "config", {}), type(model).__name__
    channels, out = config.get("in_channels"), config.get("out_channels")
    if channels is not None and out not in (None, channels, 2 * channels):
        raise InvalidInputError(
            f"{name} takes {channels} channels and returns {out}; expected as many, or twice as many with learned "
            "variance"
        )
    if given is not None:
        if channels is not None and given[0] != channels:
            raise InvalidInputError(f"image_shape is {tuple(given)}; expected {channels} channels, which {name} takes")
        return given
    size = config.get("sample_size")
    if channels is None or size is None:
        raise InvalidInputError(f"the configuration of {name} names no image size; expected image_shape (C, H, W)")
    height, width = (size, size) if isinstance(size, int) else tuple(size)
    return int(channels), int(height), int(width)


def _rows(value: Any, count: int) -> Any:
    if isinstance(value, Tensor) and value.ndim and len(value) == 1:
        return value.repeat(count, *[1] * (value.ndim - 1))
    return value
