"""The local server of the page."""

from collections.abc import Callable
from pathlib import Path
from weakref import WeakSet

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.server.server import Server

from ..errors import OutputError
from ..validation import integer
from .page import build
from .view import View

__all__ = ["serve"]

# Seconds for a run to come to its next frame.
_PATIENCE = 10.0


def serve(
    port: int = 0,
    out: str | Path = "runs/explore",
    *,
    open_browser: bool = True,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the page on 127.0.0.1 until interrupted.

    ``port`` 0 takes a free one; ``ready`` is called with the address once the page can be opened. Connections from
    pages of other origins are refused. ``out`` is where *save* writes ``result.nc``.
    Raises `InvalidInputError` for a port that is none, and `OutputError` where it is taken.
    """
    number = integer(port, "port", minimum=0, maximum=65535)

    views: WeakSet[View] = WeakSet()

    def fill(document: Document) -> None:
        views.update(build(document, Path(out)))

    application = Application(FunctionHandler(fill))
    try:
        server = Server({"/": application}, address="127.0.0.1", port=number, num_procs=1)
    except OSError as error:
        raise OutputError(f"port {number} cannot be opened ({error}); expected a free one, or 0 for any") from error
    # Bokeh takes connections from this name's pages alone; the socket is bound to the loopback interface.
    address = f"http://localhost:{server.port}/"
    server.start()
    if open_browser:
        server.io_loop.add_callback(server.show, "/")
    if ready is not None:
        server.io_loop.add_callback(ready, address)
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()
        left = list(views)
        for view in left:
            view.stop()
        for view in left:
            view.join(_PATIENCE)
