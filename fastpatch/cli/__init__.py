"""The command line. Heavy imports stay inside the commands, so that ``--help`` answers at once."""

import ctypes
import io
import os
import signal
import sys
from typing import Annotated

import typer

from .. import __version__
from ..errors import DtypeError, FastpatchError, InvalidInputError
from ..messages import reason, tell
from . import edm2, empirical, explore, images, info, kernels, network_commands, patch, plot, show, sweep, theory, unet
from .group import MARKUP

__all__ = ["app", "keep_freed_memory", "main"]


def _version(asked: bool) -> None:
    if asked:
        print(f"fastpatch {__version__}")
        raise typer.Exit


app = typer.Typer(
    rich_markup_mode=MARKUP,
    name="fastpatch",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Phase transitions that seed pattern formation in diffusion models.",
    # What describes the commands are the docstrings of their functions.
    epilog=None if __doc__ else "Python's option -OO has removed the descriptions of the commands.",
)
app.command("patch")(patch.patch)
app.command("empirical")(empirical.empirical)
app.command("theory")(theory.theory)
app.command("sweep")(sweep.sweep)
app.command("show")(show.show)
app.command("plot")(plot.plot)
app.command("explore")(explore.explore)
app.command("compile")(kernels.compile_kernels)
app.command("info")(info.info)
app.add_typer(images.app, name="images")
app.add_typer(unet.app, name="unet")
app.add_typer(edm2.app, name="edm2")
app.add_typer(network_commands.app, name="network")


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Phase transitions that seed pattern formation in diffusion models."""


def main() -> None:
    """Run the command line; a user's mistake ends in one sentence, never in a traceback."""
    # Idle OpenMP threads of torch that spin slow every other process down, and this one on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # A notebook's kernel names a backend here that its children need not have; figures are drawn without any.
    os.environ.pop("MPLBACKEND", None)
    keep_freed_memory()
    # Ends as an interrupt does, with what is temporary removed.
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        # A terminal without a letter gets "?" in its place, rather than no report.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app()
    except SystemExit as end:
        # Typer's answer to an interrupt.
        if end.code == 128 + signal.SIGINT:
            tell("fastpatch: interrupted")
        raise
    except FastpatchError as error:
        tell(f"fastpatch: {error}")
        sys.exit(2 if isinstance(error, InvalidInputError | DtypeError) else 1)
    except (OSError, UnicodeError) as error:
        # Of printing, to a full disk: files have errors of their own.
        tell(f"fastpatch: the output cannot be written ({reason(error)}); expected room for it")
        sys.exit(1)
    except MemoryError as error:
        tell(f"fastpatch: not enough memory ({reason(error)}); expected a smaller lattice or fewer trajectories")
        sys.exit(1)


def _terminate(number: int, frame: object) -> None:
    sys.exit(128 + number)


def keep_freed_memory() -> None:
    """Have glibc's malloc reuse freed arrays of up to 32 MiB in this process; other C libraries are left alone.

    It would return them, and the kernel zero new pages for the next layer of a network: an eighth of its time.
    """
    trim_threshold, mmap_threshold = -1, -3  # malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(mmap_threshold, 2**25)
