"""The parts of an analysis of sampling runs, in and out of files."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from ..kept_parts import KeptParts
from .denoiser import Denoiser
from .modes import network_differentiation
from .probes.differentiation import Differentiation, QuadraticForms
from .sampler import Samples

__all__ = ["kept_method", "kept_modes", "kept_runs"]


def kept_runs(parts: KeptParts, make: Callable[[], Samples]) -> Samples:
    """The recorded runs."""

    def made() -> dict[str, NDArray[Any]]:
        found = make()
        return {name: np.asarray(getattr(found, name)) for name in Samples.__dataclass_fields__}

    kept = parts.part("runs", made)
    return Samples(
        images=torch.from_numpy(kept["images"]),
        steps=tuple(kept["steps"].tolist()),
        sigmas=kept["sigmas"],
        states=torch.from_numpy(kept["states"]),
        denoised=torch.from_numpy(kept["denoised"]),
        evaluations=int(kept["evaluations"]),
        guide_evaluations=int(kept["guide_evaluations"]),
    )


def kept_method(parts: KeptParts, net: Denoiser, runs: Samples, labels: NDArray[np.int64] | None) -> Differentiation:
    """How the network can be differentiated, found once at the middle of the grid."""
    middle = len(runs.sigmas) // 2
    kept = parts.part(
        "method",
        lambda: {
            "method": np.array(
                network_differentiation(net, runs.states[middle][:1], float(runs.sigmas[middle]), labels)
            )
        },
    )
    return cast(Differentiation, str(kept["method"]))


def kept_modes(parts: KeptParts, name: str, make: Callable[[], QuadraticForms]) -> QuadraticForms:
    """The derivatives at one level."""

    def made() -> dict[str, NDArray[Any]]:
        found = make()
        error = {} if found.error is None else {"error": found.error}
        return {"values": found.values, "method": np.array(found.method), **error}

    kept = parts.part(name, made)
    return QuadraticForms(kept["values"], cast(Differentiation, str(kept["method"])), kept.get("error"))
