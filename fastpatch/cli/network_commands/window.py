"""``fastpatch network window``."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InvalidInputError
from ...messages import has_terminal
from .. import options
from . import source as given

if TYPE_CHECKING:
    from ...neural.window import GuidanceWindow

__all__ = ["STEPS", "window", "window_lines"]

# Numbers of sampling steps for which the steps inside a window are named, where no others are asked for.
STEPS = (20, 50)


def window(
    source: given.Source,
    runs: given.Runs = 64,
    levels: Annotated[int, typer.Option(help="Noise levels, evenly spaced in log sigma.")] = 24,
    share: given.Share = 0.9,
    steps: given.Steps = "20,50",
    images: given.Images = None,
    labels: given.Labels = None,
    null_label: given.NullLabel = None,
    prompts: given.Prompts = None,
    guide: given.GuideName = None,
    seed: options.Seed = 0,
    batch: Annotated[int | None, typer.Option(help="Most images at once, less if memory asks for it.")] = None,
    device: options.Device = "auto",
    out: options.Out = Path("runs/network-window"),
    quiet: options.Quiet = False,
) -> None:
    """Between which noise levels the network decides the class: where to guide it, in every sampler's units.

    SOURCE may also be a result.nc of this command or of `network analyze`. Writes result.nc, window.json and
    information.png; stopped on its way, the same command goes on from the levels in OUT/parts.
    """
    counts = _counts(steps)
    given.check_share(share)
    from ...analysis import figures
    from ...atomic import atomic_path, exclusive_directory
    from ...results import load, save

    with options.packages_for("a network"):
        from ...kept_parts import remove_parts
        from ...neural.window import entropic_sigmas, guidance_window

    with exclusive_directory(out, "run") as directory:
        if Path(source).suffix == ".nc":
            dataset = load(source)
        else:
            from ...neural.probes.information import information_levels, measure_information

            clean, classes = given.data_options(images, labels)
            net = given.load_denoiser(source, device, null_label, prompts)
            parts = directory / "parts"
            dataset = measure_information(
                net, clean, classes, guide=given.load_guide(guide, device), sigmas=information_levels(net, levels),
                runs=runs, seed=seed, batch=batch, checkpoint=parts, progress=not quiet and has_terminal(),
            )  # fmt: skip
            dataset.attrs["title"] = given.title(source, net)
            save(dataset, directory / "result.nc")
            remove_parts(parts)
        found = guidance_window(dataset, share, seed=seed)
        grids = {str(count): [round(sigma, 6) for sigma in entropic_sigmas(dataset, count)] for count in counts}
        with atomic_path(directory / "window.json") as temporary:
            temporary.write_text(
                json.dumps({**found.to_dict(counts), "entropic_sigmas": grids}, indent=1, allow_nan=False),
                encoding="utf-8",
            )
        figure = figures.draw_information(dataset, found.deciding, dataset.attrs.get("title"), window=found.answer)
        figures.save_figure(figure, directory / "information.png")
        print("\n".join(window_lines(found, counts)))
        print(f"wrote {directory / 'window.json'}, {directory / 'information.png'}")


def window_lines(found: "GuidanceWindow", counts: tuple[int, ...] = STEPS) -> list[str]:
    """The window as an aligned table, or the sentence that says why there is none."""
    lines = []
    known = found.information
    if known is not None:
        interval = f"[{known.total_low:.3g}, {known.total_high:.3g}]"
        lines.append(f"{'class information (nat)':<36}{known.total:14.4g}     {interval} from {known.runs} images")
        if found.losses is not None:
            total, low, high = found.losses.total
            lines.append(f"{'  by the difference of losses':<36}{total:14.4g}     [{low:.3g}, {high:.3g}]")
            gap, low, high = found.losses.gap
            lines.append(f"{'  the former less the latter':<36}{gap:14.4g}     [{low:.3g}, {high:.3g}]")
        if known.entropy > 0.0:
            lines.append(f"{'entropy of the labels (nat)':<36}{known.entropy:14.4g}     ratio {known.calibration:.3g}")
    lines.append(f"{'network evaluations (images x calls)':<36}{found.evaluations:14d}")
    if found.remark:
        lines.append(f"remark: {found.remark}")
    if found.verdict:
        return [*lines, f"no guidance window: {found.verdict}"]
    assert known is not None
    by = ", by the difference of losses" if found.basis == "losses" else ""
    lines.append(f"guidance window, {100 * known.share:g} % of the class information{by}")
    ends = (("upper", found.sigma_high, found.high_interval), ("lower", found.sigma_low, found.low_interval))
    lines += [f"  {f'sigma, {name} end':<34}{end:14.4g}     [{low:.4g}, {high:.4g}]" for name, end, (low, high) in ends]
    times = found.timesteps()
    if times is not None:
        lines.append(f"  {'timesteps of the network':<34}{times[0]:14.5g}     to {times[1]:.5g}")
    for count in counts:
        label = f"steps of {count}, from 0"
        try:
            steps = found.steps(count)
        except InvalidInputError as error:
            lines.append(f"  {label:<34}{'unknown':>14}     {error}")
            continue
        if steps is None:
            lines.append(f"  {label:<34}{'none':>14}     no step of the run lies inside")
        else:
            lines.append(
                f"  {label:<34}{steps.first:14d}     to {steps.last}; diffusers guiders: start={steps.start:g}, "
                f"stop={steps.stop:g}"
            )
    percent = found.percent()
    if percent is not None:
        lines.append(f"  {'ComfyUI percent':<34}{percent[0]:14.4f}     to {percent[1]:.4f}")
    return lines


def _counts(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(word) for word in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 2 or math.inf in found:
        raise InvalidInputError(f"steps is {text!r}; expected numbers of at least 2, such as 20,50")
    return found
