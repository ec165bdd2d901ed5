"""Whether a measured window can be used, in one sentence, and from which form of the class information it is."""

import math
from dataclasses import dataclass
from typing import Literal

from ...analysis import DecidedInformation

__all__ = ["LossDifference", "Verdict", "judged"]

_FEWEST_RUNS = 16
_CALIBRATION = (0.5, 1.5)
_FLAT = 0.9

Basis = Literal["distance", "losses"]


@dataclass(frozen=True, eq=False)
class LossDifference:
    """The class information as the difference of two losses on data, in nats, beside that by the distance.

    Attributes
    ----------
    total : (float, float, float)
        Integral of :math:`(|x_0 - D_u|^2 - |x_0 - D_c|^2)/\\sigma^2` and its 95 % bootstrap interval over images.
    gap : (float, float, float)
        The integral by the distance less this one, and its interval over the same images: twice the error of D_c along
        the guidance direction, 0 for the exact one whatever D_u is.
    information : DecidedInformation or None
        Rate and window of this form, None where the integral is not positive.
    """

    total: tuple[float, float, float]
    gap: tuple[float, float, float]
    information: DecidedInformation | None


@dataclass(frozen=True)
class Verdict:
    """Why there is no answer, if there is none; what is to be known beside it; of which form the window is."""

    refusal: str
    remark: str = ""
    basis: Basis = "distance"


def judged(distance: DecidedInformation, losses: LossDifference | None) -> Verdict:
    """The verdict on a class information by the distance of two estimates and, on data, by the difference of losses.

    In this order: too few images; both forms, or the only one, outside 0.5 … 1.5 of the label's entropy with all of
    their intervals; then, of the form that is inside, by which the window is: a rate so flat that the window is as long
    as the range; an end beyond the measured levels; ends less certain than half of the window's length.
    """
    if distance.runs < _FEWEST_RUNS:
        return Verdict(f"{distance.runs} images are too few for an interval; expected at least {_FEWEST_RUNS}")
    entropy = distance.entropy
    outside = _side((distance.total, distance.total_low, distance.total_high), entropy)
    if losses is None:
        if outside:
            return Verdict(
                f"the decided information integrates to {distance.total:.2f} nats where the labels hold {entropy:.2f}, "
                "so that network and guide do not belong together or are badly trained"
            )
        return Verdict(_shape(distance))
    by_losses = _side(losses.total, entropy)
    numbers = (
        f"the class information is {distance.total:.2f} nats by |D - D_u|^2 and {losses.total[0]:.2f} by the "
        f"difference of losses, where the labels hold {entropy:.2f}"
    )
    if by_losses or (outside and losses.information is None):
        return Verdict(f"{numbers}: {_reason(outside, by_losses, losses.gap)}")
    remark = f"{numbers}; {_error_words(losses.gap)}" if outside or _differs(losses.gap) else ""
    if outside:
        assert losses.information is not None
        return Verdict(_shape(losses.information), f"the window is that of the losses, since {remark}", "losses")
    return Verdict(_shape(distance), remark)


def _side(total: tuple[float, float, float], entropy: float) -> int:
    """-1 or 1 where all of an interval lies below or above what the labels allow, else 0."""
    if not entropy > 0.0:
        return 0
    return int(total[1] > _CALIBRATION[1] * entropy) - int(total[2] < _CALIBRATION[0] * entropy)


def _differs(gap: tuple[float, float, float]) -> bool:
    return gap[1] > 0.0 or gap[2] < 0.0


def _error_words(gap: tuple[float, float, float]) -> str:
    """What a difference of the two forms means."""
    if not _differs(gap):
        return f"they differ by {gap[0]:.2f} [{gap[1]:.2f}, {gap[2]:.2f}], which may be chance"
    way = "further" if gap[0] > 0.0 else "less far"
    return (
        f"they differ by {gap[0]:.2f} [{gap[1]:.2f}, {gap[2]:.2f}], because the network goes {way} along the guidance "
        "direction than the data do"
    )


def _reason(distance: int, losses: int, gap: tuple[float, float, float]) -> str:
    if losses > 0:
        beside = f"; {_error_words(gap)}" if _differs(gap) else ""
        return f"the guide denoises worse than the missing label explains, expected a better trained one{beside}"
    if distance < 0:
        return "the network hardly uses its label, or the noise levels end too early"
    return f"the label changes what the network says more than it helps it; {_error_words(gap)}"


def _shape(found: DecidedInformation) -> str:
    high, low = found.window
    if not math.isfinite(high):
        return "much of the class is decided above the first level; expected a larger first noise level"
    length, whole = math.log(high / low), math.log(found.sigma[0] / found.sigma[-1])
    if length >= _FLAT * found.share * whole:
        return "the class is decided evenly over all noise levels, so that no window is better than another"
    widest = max(
        math.log(top / bottom) if bottom > 0.0 and math.isfinite(top) else math.inf
        for bottom, top in zip(found.window_low, found.window_high, strict=True)
    )
    if widest > 0.5 * length:
        return f"{found.runs} images are too few: an end of the window is known to a factor {math.exp(widest):.2g}"
    return ""
