"""Where the weights that ship lie: in a checkout, or in the distribution ``fastpatch-weights`` beside the package."""

from importlib.util import find_spec
from pathlib import Path

from ..errors import ResultFileError

__all__ = ["shipped_file"]


def shipped_file(name: str, what: str, command: str) -> Path:
    """The file ``name``; `ResultFileError` where this installation has none, naming ``command`` that trains one."""
    folders = [Path(__file__).resolve().parent / "pretrained"]
    weights = find_spec("fastpatch_weights")
    if weights is not None:
        folders += map(Path, weights.submodule_search_locations or ())
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise ResultFileError(
        f"{folders[0] / name} does not exist: this installation has no {what}; "
        f"expected `pip install ./weights` in a checkout, or `{command}` first, and then its file"
    )
