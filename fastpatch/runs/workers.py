"""Whether Dask's workers can repeat the bits of this process: their versions, on which results depend, and threads."""

from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, cast

from ..errors import InvalidInputError, VersionMismatchError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["PACKAGES", "installed", "require_same", "require_suitable"]

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


def require_suitable(client: "Client") -> None:
    """Raise `VersionMismatchError` for a worker of other versions, `InvalidInputError` for one of several threads.

    Raises `InvalidInputError` for an asynchronous client, too. Workers that join later are checked task by task.
    """
    if client.asynchronous:
        raise InvalidInputError("client is asynchronous; expected a synchronous one")
    versions = cast(dict[str, Any], client.get_versions(packages=list(PACKAGES)))
    for address, found in versions["workers"].items():
        require_same(found["packages"], installed(), address)
    for address, worker in client.scheduler_info(n_workers=-1)["workers"].items():
        if worker["nthreads"] != 1:
            raise InvalidInputError(
                f"worker {address} has {worker['nthreads']} threads; expected one, as of `dask worker --nthreads 1`"
            )
