"""A page in the browser on which a lattice forms while sliders move (``pip install "fastpatch[explore]"``).

`serve` opens it on the loopback interface; `scrubbing_page` writes the same figures of one run as a file of HTML that
needs no server. The names load on first use, and need Bokeh.
"""

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .server import serve
    from .settings import EDMSettings, MachineSettings, UNetSettings
    from .static import scrubbing_page

_HOME = {
    "EDMSettings": "settings",
    "MachineSettings": "settings",
    "UNetSettings": "settings",
    "scrubbing_page": "static",
    "serve": "server",
}

__all__ = ["EDMSettings", "MachineSettings", "UNetSettings", "scrubbing_page", "serve"]

__getattr__, __dir__ = lazily(__name__, _HOME)
