"""What tells one model from another: for provenance, and so that a run is never resumed under another model."""

import hashlib
import pickle
import uuid
from typing import Any
from weakref import WeakKeyDictionary

from .base import Model

__all__ = ["model_identity"]

# Models that can be told apart by nothing but being this very object.
_TOKENS: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def model_identity(model: Model) -> dict[str, Any]:
    """JSON-ready identity of a model.

    What the class says of itself, its ``describe()`` or ``parameters``; for a class that says nothing, or a subclass
    that may differ from what its base says, its name and a digest of its pickled attributes besides. A model that
    cannot be pickled is identified within this process only: its runs cannot be resumed in another.
    """
    describe, kind = getattr(model, "describe", None), type(model)
    found: dict[str, Any] = {} if describe is None else dict(describe())
    speaks_for_itself = "describe" in vars(kind)
    parameters = getattr(model, "parameters", None)
    if parameters is not None:
        found |= {"parameters": parameters}
        speaks_for_itself = True
    name = f"{kind.__module__}.{kind.__qualname__}"
    if speaks_for_itself:
        return {"type": name, **found}
    return {**found, "type": name, "state": _digest(model)}


def _digest(model: Model) -> str:
    try:
        content = pickle.dumps(model.__getstate__() or {}, protocol=5)
    except Exception:  # whatever the attributes raise that cannot be pickled
        return f"this process alone: {_TOKENS.setdefault(model, uuid.uuid4().hex)}"
    return hashlib.sha256(content).hexdigest()
