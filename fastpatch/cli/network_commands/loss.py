"""``fastpatch network loss``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ...errors import InvalidInputError
from .. import options
from . import source as given

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["loss", "loss_table"]


def loss(
    sources: Annotated[
        list[str],
        typer.Argument(help="Networks to compare, each as SOURCE of the other commands.", show_default=False),
    ],
    images: Annotated[
        Path | None,
        typer.Option(help="Clean images (n, C, H, W) in the networks' range, as .npy; else Fashion-MNIST's test set."),
    ] = None,
    labels: given.Labels = None,
    grey: Annotated[bool, typer.Option("--grey/--binarised", help="Which Fashion-MNIST, if no card says.")] = True,
    data: options.Data = None,
    count: Annotated[int, typer.Option(help="Images used, the classes in turn.")] = 256,
    levels: Annotated[int, typer.Option(help="Noise levels, evenly spaced in log sigma.")] = 16,
    null_label: given.NullLabel = None,
    seed: options.Seed = 0,
    batch: Annotated[int | None, typer.Option(help="Most images at once, less if memory asks for it.")] = None,
    device: options.Device = "auto",
    out: options.Out = Path("runs/network-loss"),
    quiet: options.Quiet = False,
) -> None:
    """The denoising loss of networks by noise level on held-out images, with and without the class, side by side.

    Writes result.nc and loss.png.
    """
    with options.packages_for("a network"):
        from ...neural.probes.held_out import held_out_loss

    from ...analysis import figures
    from ...atomic import exclusive_directory
    from ...results import save

    clean, classes = given.data_options(images, labels)
    nets = {name: given.load_denoiser(source, device, null_label) for name, source in _named(sources).items()}
    if clean is None:
        clean, classes = _test_images(sources, next(iter(nets.values())), grey, data)
    with exclusive_directory(out, "comparison of losses") as directory:
        dataset = held_out_loss(
            nets, clean, classes, levels=levels, count=count, seed=seed, batch=batch,
            progress=not quiet and sys.stderr.isatty(),
        )  # fmt: skip
        save(dataset, directory / "result.nc")
        figures.save_figure(figures.draw_held_out(dataset), directory / "loss.png")
    print(loss_table(dataset))
    print(f"wrote {out / 'result.nc'}, {out / 'loss.png'}")


def _named(sources: list[str]) -> dict[str, str]:
    """Sources by their stems where these differ, else by themselves; raises `InvalidInputError` for one given twice."""
    if len(set(sources)) < len(sources):
        raise InvalidInputError(f"the networks are {', '.join(sources)}; expected each once")
    stems = [Path(source).name.removesuffix(".safetensors") for source in sources]
    return dict(zip(stems if len(set(stems)) == len(stems) else sources, sources, strict=True))


def _test_images(
    sources: list[str], net: Any, grey: bool, data: Path | None
) -> "tuple[NDArray[np.float32], NDArray[np.int64]]":
    """Fashion-MNIST's test images as the networks want them, and their classes.

    Raises `InvalidInputError` for networks of other images, and for two that were trained on different variants.
    """
    from ...neural.data import SIDE, load_images, load_labels, pad_images
    from ...neural.denoiser import image_shape
    from ...neural.tensor_file import read_card

    channels, height, width = image_shape(net)
    if channels != 1 or height != width or height < SIDE or (height - SIDE) % 2:
        raise InvalidInputError(
            f"{sources[0]} is for images {channels}x{height}x{width}; expected --images, as Fashion-MNIST does not fit"
        )
    ours = [source for source in sources if Path(source).suffix == ".safetensors"]
    variants = {read_card(source).get("variant", "grey") for source in ours} or {"grey" if grey else "binarised"}
    if len(variants) > 1:
        raise InvalidInputError(f"the networks were trained on {' and '.join(sorted(variants))} images; expected one")
    return pad_images(load_images("test", variants.pop(), data), height), load_labels("test", data).astype(np.int64)


def loss_table(dataset: "xr.Dataset") -> str:
    """The losses by noise level and network, as an aligned table."""
    from ...analysis.figures.held_out import loss_curves
    from ...analysis.statistics import standard_error

    curves = loss_curves(dataset)
    names = [name if condition == "none" else f"{name}, class" for name, condition in curves]
    width = max(20, *(len(name) + 2 for name in names))
    lines = [f"squared error of the noise a pixel, mean of {dataset.sizes['image']} images (standard error)"]
    lines.append(f"{'sigma':>10}" + "".join(f"{name:>{width}}" for name in names))
    for at, sigma in enumerate(dataset["sigma"].to_numpy()):
        cells = []
        for values in curves.values():
            row = values[at]
            cells.append(f"{f'{row.mean():.4g}({standard_error(row):.1g})':>{width}}")
        lines.append(f"{sigma:10.4g}" + "".join(cells))
    return "\n".join(lines)
