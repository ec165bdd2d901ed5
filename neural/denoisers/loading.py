"""A denoiser from a model or pipeline of diffusers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ...errors import InvalidInputError
from .adapter import AdaptedDenoiser
from .diffusers_files import encode_prompts, find_parts, read_scheduler
from .diffusers_model import ModelCall, image_shape_of, network_class
from .diffusers_scheduler import schedule_of
from .predictions import Prediction
from .schedules import NoiseSchedule

__all__ = ["from_diffusers"]


def from_diffusers(
    source: Any,
    scheduler: Any = None,
    *,
    prediction: Prediction | None = None,
    image_shape: tuple[int, int, int] | None = None,
    null_label: int | None = None,
    conditions: ArrayLike | Tensor | None = None,
    null_condition: ArrayLike | Tensor | None = None,
    prompts: Sequence[str] | None = None,
    negative_prompt: str = "",
    arguments: Mapping[str, Any] | None = None,
    dtype: torch.dtype | None = None,
) -> AdaptedDenoiser:
    """D(x, sigma, class_labels) of a diffusers model, with its own schedule, times, conditioning and nothing clipped.

    Parameters
    ----------
    source
        A directory of ``save_pretrained`` (of a pipeline, or of a model with its scheduler's configuration in it or
        beside it in ``scheduler/``), a pipeline, a module, or a name of the hub where there is a network.
    scheduler
        A scheduler, its directory, or a `NoiseSchedule`; needed for a module, and otherwise in the place of the
        source's own.
    prediction
        In the place of the scheduler's ``prediction_type``; needed with a `NoiseSchedule`.
    image_shape
        (C, H, W) in the place of the model's ``sample_size``.
    null_label
        The class index that was trained to mean "no class", the last one; DiT's is known. Without it, a
        class-conditional model has no unconditional counterpart.
    conditions, null_condition
        Prompt embeddings (K, L, D) and that of the empty prompt (L, D) or (1, L, D), for models with cross-attention;
        the labels of the denoiser are indices of prompts.
    prompts, negative_prompt
        Texts in their place, encoded by the pipeline's own text encoder.
    arguments
        Further keyword arguments of every call of the model, such as ``added_cond_kwargs``. Tensors in them are moved,
        and those of floating point converted, as the images are; one row is repeated for the batch; beside
        ``conditions``, K + 1 rows are those of the prompts, the last that of the empty one.
    dtype
        Of the weights; by default as they are loaded or given. The module is put into evaluation mode.

    Raises
    ------
    InvalidInputError
        Without a scheduler, for one that is not understood, an unknown prediction type, channels that do not fit,
        missing or misplaced conditioning, prompts without a text encoder, and epsilon prediction at zero terminal
        signal-to-noise ratio.
    ResultFileError, BackendUnavailableError
        For a directory without a model, files that cannot be read, or packages that are missing.
    """
    parts = find_parts(source, text=prompts is not None)
    found = parts.scheduler if scheduler is None else read_scheduler(scheduler)
    if found is None:
        where = source if isinstance(source, str | Path) else f"the {type(source).__name__}"
        raise InvalidInputError(
            f"{where} has no scheduler configuration, which says what the network predicts at which noise; expected "
            "scheduler_config.json beside it, or scheduler="
        )
    if isinstance(found, NoiseSchedule):
        if prediction is None:
            raise InvalidInputError(
                f"a {type(found).__name__} is given without a prediction type; expected one of "
                f"{', '.join(get_args(Prediction))}"
            )
        schedule, predicted, own = found, prediction, None
    else:
        schedule, predicted = schedule_of(found, network_class(parts.model))
        own = found
    if prompts is not None:
        if conditions is not None or not prompts:
            raise InvalidInputError("prompts are given empty or beside conditions; expected one of both")
        embedded = encode_prompts(parts, [*prompts, negative_prompt])
        conditions, null_condition = embedded[:-1], embedded[-1]
    model = parts.model if dtype is None else parts.model.to(dtype)
    call = ModelCall(
        model, null_label=null_label, conditions=conditions, null_condition=null_condition, arguments=arguments
    )
    return AdaptedDenoiser(
        call,
        predicted if prediction is None else prediction,
        schedule,
        image_shape_of(model, image_shape),
        module=model,
        label_dim=call.label_dim,
        unconditional=call.unconditional,
        about={
            "network": f"diffusers {network_class(model)}",
            "scheduler": None if own is None else type(own).__name__,
            **({} if prompts is None else {"prompts": list(prompts)}),
        },
        scheduler=own,
    )
