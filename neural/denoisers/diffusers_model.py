"""Calling a model of diffusers with its own arguments: times, classes, prompt embeddings."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ...errors import FastpatchError, InvalidInputError
from ...messages import reason

__all__ = ["ModelCall", "image_shape_of", "network_class"]


class ModelCall:
    """A `Network` around any module that is called as ``model(x, timestep, …)`` and returns a tensor or a ``sample``.

    Parameters
    ----------
    model
        `UNet2DModel`, `UNet2DConditionModel`, `DiTTransformer2DModel`, or anything with the same call.
    null_label
        The class index that stands for "no class"; it has to be the last one, and is then no class of its own.
    conditions, null_condition
        Embeddings (K, L, D) of K prompts, which labels number, and (L, D) or (1, L, D) of the empty prompt.
    arguments
        Further keyword arguments of every call; their tensors, also within mappings and lists, follow the images'
        device and, of floating point, their dtype. One row is repeated for the batch, and beside ``conditions`` K + 1
        rows are those of the prompts and, last, of none.

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
        conditions: ArrayLike | Tensor | None = None,
        null_condition: ArrayLike | Tensor | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self._model, self._answered = model, False
        self._arguments = dict(arguments or {})
        self._accepted = set(inspect.signature(_uncompiled(model).forward).parameters)
        name, config = network_class(model), getattr(model, "config", {})
        self.conditions = None if conditions is None else torch.as_tensor(conditions)
        self._null_condition = None if null_condition is None else torch.as_tensor(null_condition)
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
        if self.conditions is not None:
            _check_conditions(self.conditions, self._null_condition, config, name)
            self.label_dim, self.unconditional = len(self.conditions), null_condition is not None
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
        given: dict[str, Any] = self._placed(self._arguments, x, labels)
        if "return_dict" in self._accepted:
            given["return_dict"] = False
        if self.conditions is not None:
            table = self.conditions.to(x.device, x.dtype)
            if labels is None:
                assert self._null_condition is not None
                rows = self._null_condition.to(x.device, x.dtype).expand(len(x), *table.shape[1:])
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
                f"{network_class(self._model)} cannot be called with images, a time and {' and '.join(given)} "
                f"({reason(error)}); expected a model that can, or what else it needs as arguments"
            ) from error
        self._answered = True
        tensor: Tensor = found[0] if isinstance(found, tuple) else getattr(found, "sample", found)
        return tensor

    def _placed(self, value: Any, x: Tensor, labels: Tensor | None) -> Any:
        """An argument for the images x, where they are and in their dtype, a row for each."""
        if isinstance(value, Mapping):
            return {name: self._placed(one, x, labels) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._placed(one, x, labels) for one in value)
        if not isinstance(value, Tensor):
            return value
        here = value.to(x.device, x.dtype) if value.is_floating_point() else value.to(x.device)
        if not here.ndim:
            return here
        if self.conditions is not None and len(here) == self.label_dim + 1:
            return here[torch.full((len(x),), self.label_dim, device=x.device) if labels is None else labels]
        return here.repeat(len(x), *[1] * (here.ndim - 1)) if len(here) == 1 else here


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


def network_class(model: Any) -> str:
    """The name of a model's class, of a compiled one that of what was compiled."""
    return type(_uncompiled(model)).__name__


def _uncompiled(model: Any) -> Any:
    return getattr(model, "_orig_mod", model)


def _check_conditions(conditions: Tensor, null_condition: Tensor | None, config: Any, name: str) -> None:
    if conditions.ndim != 3:
        raise InvalidInputError(f"conditions have shape {tuple(conditions.shape)}; expected (K, L, D)")
    # What a model projects itself comes before its cross-attention.
    widths = (config.get(key) for key in ("caption_channels", "encoder_hid_dim", "cross_attention_dim"))
    width = next((one for one in widths if one is not None), None)
    if isinstance(width, int) and conditions.shape[-1] != width:
        raise InvalidInputError(f"conditions have {conditions.shape[-1]} channels; expected the {width} of {name}")
    if null_condition is not None and tuple(null_condition.shape) not in (
        tuple(conditions.shape[1:]), (1, *conditions.shape[1:])
    ):  # fmt: skip
        raise InvalidInputError(
            f"null_condition has shape {tuple(null_condition.shape)}; expected {tuple(conditions.shape[1:])}, that of "
            "one of the conditions"
        )
