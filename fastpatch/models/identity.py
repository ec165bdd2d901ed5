"""What tells one model from another: for provenance, and so that a run is never resumed under another model."""

from typing import Any

from ..fingerprints import fingerprint
from .base import Model

__all__ = ["model_identity"]


def model_identity(model: Model) -> dict[str, Any]:
    """JSON-ready identity of a model.

    What the class says of itself, its ``describe()`` or ``parameters``; for a class that says nothing, or a user's
    subclass that may differ from what its base says, its name and a `fingerprint` of its attributes and code besides.
    Attributes that cannot be pickled are identified within this process only: such runs cannot be resumed in another.
    """
    describe, kind = getattr(model, "describe", None), type(model)
    found: dict[str, Any] = {} if describe is None else dict(describe())
    own = kind.__module__.startswith(f"{__package__.partition('.')[0]}.")
    speaks_for_itself = describe is not None if own else "describe" in vars(kind)
    parameters = getattr(model, "parameters", None)
    if parameters is not None:
        found |= {"parameters": parameters}
        speaks_for_itself = True
    name = f"{kind.__module__}.{kind.__qualname__}"
    if speaks_for_itself:
        return {"type": name, **found}
    return {**found, "type": name, "state": fingerprint(model)}
