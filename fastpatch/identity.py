"""What tells one job from another."""

from collections.abc import Mapping
from typing import Any

__all__ = ["differences"]


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """In words, every setting whose value in ``found`` is not the one in ``wanted``."""
    return [
        f"{name} {found.get(name)!r} instead of {wanted.get(name)!r}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
