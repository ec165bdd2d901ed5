"""The specs that ship with the package and run by name."""

from importlib.resources import files

__all__ = ["READY", "ready_text"]

READY = ("finite-size", "prior-mass", "quench-rate")


def ready_text(name: str) -> str:
    """The TOML text of a ready spec."""
    return (files(__package__) / "specs" / f"{name}.toml").read_text(encoding="utf-8")
