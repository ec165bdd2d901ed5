"""ImageNet-64 networks that the authors of EDM2 released, known by name and downloaded into the user's cache.

We know no hashes that they published. So a download is trusted no more than any other file, and read as data alone;
once it has proved to be an EDM2 network, its SHA-256 is written beside it, and a file that has another one later is
refused. That tells a change, not an impostor who was there first.
"""

from pathlib import Path

from ...atomic import atomic_path
from ...errors import ResultFileError

__all__ = ["LICENCE", "RELEASES", "confirm", "fetch"]

LICENCE = "CC BY-NC-SA 4.0"
RELEASES = (
    "edm2-img64-s-1073741-0.075",
    "edm2-img64-m-2147483-0.060",
    "edm2-img64-l-1073741-0.040",
    "edm2-img64-xl-0671088-0.040",
    # Two networks to be guided, each with its guide.
    "edm2-img64-s-1073741-0.045",
    "edm2-img64-xs-0134217-0.110",
    "edm2-img64-s-1073741-0.105",
    "edm2-img64-xs-0134217-0.175",
)
_HOME = "https://nvlabs-fi-cdn.nvidia.com/edm2/posthoc-reconstructions/"


def fetch(name: str) -> tuple[Path, bool]:
    """The file of the release ``name`` in the user's cache, and whether it was downloaded just now.

    Its content is not checked, unless an earlier copy's hash is on record. Raises `ResultFileError` where it cannot
    be had.
    """
    by_hand = "to supply it by hand, give the path of a copy instead of the name"
    try:
        import pooch
    except ImportError as error:
        raise ResultFileError(
            f'downloading {name} needs pooch (`pip install "fastpatch[neural]"`); {by_hand}'
        ) from error
    path = Path(pooch.os_cache("fastpatch")) / "edm2" / f"{name}.pkl"
    if path.is_file():
        return path, False
    url = f"{_HOME}{path.name}"
    known = _recorded(path)
    try:
        pooch.retrieve(
            url=url, known_hash=None if known is None else f"sha256:{known}", fname=path.name, path=path.parent
        )
    except OSError as error:  # includes every error of requests and urllib3 that pooch lets through
        raise ResultFileError(f"{name} could not be downloaded ({type(error).__name__} at {url}); {by_hand}") from error
    except ValueError as error:
        raise ResultFileError(
            f"{url} has another SHA-256 than {known}, the one on record in {_record(path)}; {by_hand}"
        ) from error
    return path, True


def confirm(path: Path, sha256: str) -> None:
    """Put the hash of a release that has proved readable on record, or compare it with the one that is.

    Raises `ResultFileError` where they differ and `OutputError` where nothing can be written.
    """
    known = _recorded(path)
    if known is None:
        with atomic_path(_record(path)) as temporary:
            temporary.write_text(f"{sha256}  {path.name}\n")
    elif known != sha256:
        raise ResultFileError(
            f"{path} has SHA-256 {sha256}; expected {known}, on record in {_record(path).name} since its first use"
        )


def _record(path: Path) -> Path:
    """Where the hash of a file is kept, as ``sha256sum --check`` reads it."""
    return path.with_name(f"{path.name}.sha256")


def _recorded(path: Path) -> str | None:
    record = _record(path)
    return record.read_text(errors="replace").split(" ")[0] if record.is_file() else None
