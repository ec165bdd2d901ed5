"""Versions on which the bits of a result may depend; those of client and workers have to agree."""

from collections.abc import Mapping
from functools import cache
from importlib import metadata

from ..errors import VersionMismatchError

__all__ = ["PACKAGES", "installed", "require_same"]

PACKAGES = ("fastpatch", "numba", "numpy", "scipy", "distributed")


@cache
def installed() -> Mapping[str, str | None]:
    """The version of every package that matters, None for one that is absent."""

    def version(package: str) -> str | None:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return None

    return {package: version(package) for package in PACKAGES}


def require_same(worker: Mapping[str, str | None], client: Mapping[str, str | None], address: str) -> None:
    """Raise `VersionMismatchError`, naming both versions, for the first package in which they differ."""
    for package in PACKAGES:
        found, expected = worker.get(package), client.get(package)
        if found != expected:
            raise VersionMismatchError(
                f"worker {address} has {package} {found or 'not at all'} and the client has {expected}; "
                "expected the same version"
            )
