"""``fastpatch show``: the report of a saved result."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInputError
from . import options

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["show"]


def show(
    file: Annotated[Path, typer.Argument(help="A result.nc written by fastpatch.")],
    json: Annotated[bool, typer.Option("--json", help="As JSON, for other programs.")] = False,
) -> None:
    """Print the report of a result again, such as its critical points, without running anything."""
    from json import dumps

    from ..messages import printable
    from ..results import load, title_of

    dataset = load(file)
    text, values = _report(dataset, file)
    if json:
        if values is None:
            raise InvalidInputError(f"{file} has a report in words alone; expected no --json")
        print(dumps(values, indent=2))
        return
    title = title_of(dataset)
    if title:
        print(printable(title))
    print(printable(text))


def _report(dataset: "xr.Dataset", file: Path) -> tuple[str, dict[str, Any] | None]:
    """What the command that wrote a result printed, and the same as JSON values where there are such."""
    if "xi_x" in dataset:
        from ..reports import summary

        found = summary(dataset)
        return str(found), found.to_dict()
    if "total_rate" in dataset:
        with options.packages_for("the report of a window"):
            from ..neural.window import guidance_window
        from .network_commands.window import STEPS, window_lines

        window = guidance_window(dataset)
        return "\n".join(window_lines(window)), window.to_dict(STEPS)
    if "loss" in dataset:
        from .network_commands.loss import loss_table

        return loss_table(dataset), None
    if "gain_overall" in dataset:
        from .edm2.pulse_report import report

        return report(dataset), None
    if "guide_evaluations" in dataset.attrs and "final" in dataset:
        from .edm2.sample import sample_report

        return sample_report(dataset), None
    if "final" in dataset:
        from .unet.sample_report import sample_report as unet_report

        return unet_report(dataset), None
    raise InvalidInputError(
        f"{file} holds {', '.join(map(str, dataset)) or 'nothing'}, of which there is no report; "
        "expected the result of a run, an analysis, a window, losses, samples or pulses"
    )
