"""How the runs of one kind of model are shown: what their clock is called, where axes begin and end."""

from dataclasses import dataclass

__all__ = ["DIFFUSION", "NOISE_LEVEL", "Look"]


@dataclass(frozen=True)
class Look:
    """Words and axes; ``softened`` is the clock's value at which the axis of the derivatives ends."""

    clock: str
    symbol: str
    begin: float
    end: float
    softened: float
    derivative: str
    derivatives: tuple[float, float]
    picture: str


DIFFUSION = Look("diffusion time", "t", 50.0, 1e-3, 0.3, "λ", (-0.5, 0.7), "state")
# sigma lambda is 1 where the data have no effect, as lambda is 1/2 in the diffusion time above.
NOISE_LEVEL = Look("noise level", "σ", 80.0, 2e-3, 2e-3, "σλ", (-1.0, 1.2), "state, and what the network sees in it")
