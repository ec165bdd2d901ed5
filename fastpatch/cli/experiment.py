"""What the commands that simulate have in common: run, write, draw, report."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FastpatchError, OutputError
from ..messages import has_terminal, printable, tell

if TYPE_CHECKING:
    import xarray as xr

    from ..models import Model

__all__ = ["draw_figures", "publish", "run_experiment", "set_threads"]


def set_threads(threads: int | None) -> None:
    """Limit the kernels' threads; `InvalidInputError` outside 1 … the machine's number."""
    from .. import threads as process

    if threads is not None:
        process.set_threads(threads)


def run_experiment(
    model: "Model",
    out: Path,
    title: str | None = None,
    *,
    report: Callable[["xr.Dataset"], object] | None = None,
    extend: Callable[["xr.Dataset"], "xr.Dataset"] | None = None,
    quiet: bool,
    null: bool = True,
    **arguments: Any,
) -> None:
    """Simulate, write ``result.nc`` into ``out``, print the report (`summary` by default), and draw the figures.

    A run that is interrupted is taken up again by the same command, from a checkpoint in ``out``. ``extend`` may add to
    the dataset, or take from it, before anything is written. ``title`` replaces that of `title_of`.
    ``null`` is that of `fastpatch.plot`.
    """
    from ..atomic import exclusive_directory
    from ..reports import summary
    from ..runs.simulation import simulate

    with exclusive_directory(out, "run") as directory:
        checkpoint = directory / "run.checkpoint"
        begin = time.perf_counter()
        try:
            dataset = simulate(model, progress=not quiet and has_terminal(), checkpoint=checkpoint, **arguments)
        except KeyboardInterrupt:
            if checkpoint.exists():
                tell(f"fastpatch: {checkpoint} keeps what was done; the same command goes on from there")
            raise
        simulated = time.perf_counter() - begin
        if extend is not None:
            dataset = extend(dataset)
        if title is not None:
            dataset.attrs["title"] = title
        publish(dataset, directory, summary if report is None else report, begin=begin, simulated=simulated, null=null)
        checkpoint.unlink(missing_ok=True)


def publish(
    dataset: "xr.Dataset",
    directory: Path,
    report: Callable[["xr.Dataset"], object],
    *,
    begin: float,
    simulated: float,
    null: bool = True,
) -> None:
    """Write ``result.nc`` into ``directory``, print the report, draw the figures, and print the times and the paths.

    The result comes first, then the report: neither is lost where a figure cannot be drawn, which is an `OutputError`.
    The result of another run that is there is kept as ``result.previous.nc``.
    ``begin`` is the value of `time.perf_counter` at the start, ``simulated`` the seconds that the run itself took.
    """
    from ..atomic import atomic_path
    from ..results import save

    file = directory / "result.nc"
    if file.exists() and not _same_run(file, dataset):
        earlier = file.with_name("result.previous.nc")
        # Copied, not moved: at no time is there no result.
        with atomic_path(earlier) as temporary:
            shutil.copyfile(file, temporary)
        tell(f"fastpatch: the result of another run in {directory} is now {earlier.name}")
    save(dataset, file)
    # A card or a title may hold anything.
    print(printable(str(report(dataset))), flush=True)
    try:
        written = draw_figures(dataset, directory, null=null)
    except FastpatchError:
        raise
    except Exception as error:  # of Matplotlib, its fonts and its settings, which are the host's
        raise OutputError(
            f"{file} is complete, but its figures cannot be drawn ({type(error).__name__}: {error}); "
            "expected `fastpatch plot` to draw them once that is mended"
        ) from error
    print(f"{'wall time (s)':<36}{time.perf_counter() - begin:14.2f}     simulation: {simulated:.2f}")
    print("wrote " + "\n      ".join(str(path) for path in (file, *written)))


def _same_run(file: Path, dataset: "xr.Dataset") -> bool:
    """Whether a file holds the run of ``dataset``, wherever and by whatever version it was made."""
    from ..results import load

    def run(of: "xr.Dataset") -> object:
        provenance = json.loads(of.attrs.get("provenance", "null"))
        return {**provenance, "environment": None} if isinstance(provenance, dict) else None

    try:
        return run(load(file)) == run(dataset)
    except (FastpatchError, ValueError):
        return False


def draw_figures(dataset: "xr.Dataset", directory: Path, suffix: str = "png", *, null: bool = True) -> list[Path]:
    """Write what `fastpatch.plot` draws as files of a format; their paths."""
    from ..analysis.figures import save_figure
    from ..plotting import plot

    written = []
    for stem, figure in plot(dataset, null=null).items():
        written.append(directory / f"{stem}.{suffix}")
        save_figure(figure, written[-1])
    return written
