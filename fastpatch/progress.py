"""Progress bars on standard error, where there is one."""

from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from .messages import can_tell

__all__ = ["progress_bar"]


def progress_bar(iterable: Iterable[Any] | None = None, *, show: bool, **options: Any) -> "tqdm[Any]":
    """A tqdm bar, which shows nothing unless ``show``, or where standard error is closed or missing."""
    return tqdm(iterable, disable=not (show and can_tell()), **options)
