"""What a scheduler of diffusers says about noise levels and the network's output, and levels in its units."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import InvalidInputError
from .predictions import Prediction
from .schedules import EDMSchedule, FlowSchedule, NoiseSchedule, VPSchedule

__all__ = ["schedule_of", "step_levels"]

_PREDICTIONS: dict[str, Prediction] = {
    "epsilon": "epsilon",
    "sample": "sample",
    "v_prediction": "v",
    "flow_prediction": "flow",
}
_EDM_PREDICTIONS: dict[str, Prediction] = {"epsilon": "edm", "v_prediction": "edm-v"}


# Of flow matching: models whose pipelines tell them the share of noise itself, and those whose time or output is
# reversed (diffusers 0.42).
_SHARE_OF_NOISE = frozenset({"AuraFlowTransformer2DModel"})
_REVERSED = frozenset({
    "HiDreamImageTransformer2DModel",
    "Lumina2Transformer2DModel",
    "LuminaNextDiT2DModel",
    "OmniGenTransformer2DModel",
    "ZImageTransformer2DModel",
})  # fmt: skip


def schedule_of(scheduler: Any, model: str) -> tuple[NoiseSchedule, Prediction]:
    """The clock of a scheduler of diffusers and the prediction of the networks trained with it.

    Flow-matching schedulers, those of EDM (``sigma_data``), and all with ``alphas_cumprod``, whose own numbers are
    taken. ``model`` is the name of the network's class. Raises `InvalidInputError` for any other scheduler, an unknown
    ``prediction_type``, and clocks that run otherwise, named.
    """
    name, config = type(scheduler).__name__, getattr(scheduler, "config", {})
    asked = config.get("prediction_type", "epsilon")
    other = next((key for key, value in (("timestep_type", "continuous"), ("invert_sigmas", True))
                  if config.get(key) == value), None)  # fmt: skip
    if other is not None:
        raise InvalidInputError(
            f"{name} has {other}={config[other]!r}, a clock that is not known here; expected one of timesteps, or "
            "`denoisers.from_callable` with the schedule named"
        )
    if name.startswith("FlowMatch") or asked == "flow_prediction":
        if model in _REVERSED:
            raise InvalidInputError(
                f"the time or the output of {model} runs the other way than a flow-matching scheduler's; expected "
                "`denoisers.from_callable` with a function that turns them"
            )
        steps = 1.0 if model in _SHARE_OF_NOISE else float(config.get("num_train_timesteps", 1000))
        shift = float(config.get("shift", config.get("flow_shift", 1.0)) or 1.0)
        return FlowSchedule(timesteps=steps, shift=shift), "flow"
    known = _EDM_PREDICTIONS if name.startswith("EDM") else _PREDICTIONS
    if asked not in known:
        raise InvalidInputError(
            f"prediction type is {asked!r} in the configuration of {name}; expected one of {', '.join(known)}"
        )
    if name.startswith("EDM"):
        return (
            EDMSchedule(
                float(config.get("sigma_data", 0.5)),
                sigma_min=float(config.get("sigma_min", 0.002)),
                sigma_max=float(config.get("sigma_max", 80.0)),
            ),
            known[asked],
        )
    kept = getattr(scheduler, "alphas_cumprod", None)
    if kept is None:
        raise InvalidInputError(
            f"the scheduler {name} has neither alphas_cumprod nor sigma_data and is no flow-matching one; expected one "
            "that does, or `denoisers.from_callable` with the schedule named"
        )
    # In the float32 of the scheduler: these are the numbers by which the network was trained and is sampled.
    schedule = VPSchedule(torch.as_tensor(kept).double().cpu().numpy())
    # Rounding or the scheduler itself may leave it a last level of sigma = 4000 or so.
    schedule.zero_terminal |= bool(config.get("rescale_betas_zero_snr", False))
    return schedule, known[asked]


def step_levels(scheduler: Any, schedule: NoiseSchedule, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Noise levels and timesteps at which ``scheduler`` evaluates the network in a run of ``steps`` steps, (n,) each.

    The scheduler itself is left alone. Second-order schedulers list some steps twice. Raises `InvalidInputError` for a
    scheduler that shifts its levels by the size of the image, which it is not told here.
    """
    fresh = type(scheduler).from_config(scheduler.config)
    if fresh.config.get("use_dynamic_shifting", False):
        raise InvalidInputError(
            f"the steps of {type(scheduler).__name__} depend on the size of the image (use_dynamic_shifting); expected "
            "a scheduler with a fixed shift, or the window's noise levels"
        )
    fresh.set_timesteps(steps)
    times = np.asarray(torch.as_tensor(fresh.timesteps).double().cpu())
    if isinstance(schedule, FlowSchedule):
        # The network's own time may have another unit.
        return schedule.sigma(times * schedule.timesteps / fresh.config.get("num_train_timesteps", 1000)), times
    return schedule.sigma(times), times
