"""Which engine runs the steps, and a clear refusal where it cannot."""

from .errors import BackendUnavailableError, InvalidInputError

__all__ = ["BACKENDS", "resolve_backend"]

BACKENDS = ("auto", "cpu", "cuda")


def resolve_backend(backend: str) -> str:
    """The backend that ``backend`` stands for: "auto" is the CPU.

    Raises `InvalidInputError` for an unknown name and `BackendUnavailableError` for a GPU that cannot be used.
    """
    if backend not in BACKENDS:
        raise InvalidInputError(f"backend is {backend!r}; expected one of {', '.join(map(repr, BACKENDS))}")
    if backend == "cuda":
        raise BackendUnavailableError("backend is 'cuda', which this version does not have; expected 'cpu' or 'auto'")
    return "cpu"
