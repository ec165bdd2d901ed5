"""The explorer's static page for this site, made once and again whenever the explorer or a kernel changes."""

import hashlib
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import fastpatch


def write_page(app: Sphinx) -> None:
    """``scrubbing.html`` beside the pages, from a cache in the build folder."""
    package = Path(fastpatch.__file__).parent
    sources = sorted([*package.glob("explore/*.py"), *package.glob("kernels/cpu/*.py")])
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    folder = Path(app.srcdir) / "_build" / "scrubbing"
    stamp = folder.parent / "scrubbing.sha256"
    if stamp.exists() and stamp.read_text() == digest and (folder / "scrubbing.html").exists():
        return
    from fastpatch.explore import scrubbing_page

    folder.mkdir(parents=True, exist_ok=True)
    scrubbing_page(folder / "scrubbing.html")
    stamp.write_text(digest)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", write_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
