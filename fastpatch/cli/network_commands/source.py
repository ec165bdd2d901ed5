"""SOURCE of the network commands: a directory or hub name of diffusers, an EDM2 network, or an object in Python."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

from ...errors import DtypeError, InvalidInputError
from ...messages import reason
from .. import options

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from ...neural.denoiser import Denoiser
    from ...neural.denoisers import AdaptedDenoiser

__all__ = ["GuideName", "Images", "Labels", "NullLabel", "Prompts", "Runs", "Share", "Source", "Steps"]
__all__ += ["check_share", "data_options", "load_denoiser", "load_guide", "read_images", "title"]

Source = Annotated[
    str,
    typer.Argument(
        help="A directory of save_pretrained of diffusers, a name of its hub, weights of `fastpatch unet train` or "
        "`fastpatch edm2 train` (.safetensors), a release of EDM2 (.pkl, or by name), or FILE.py:NAME, a denoiser or a "
        "function without arguments that returns one.",
        show_default=False,
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(help="Clean images (n, C, H, W) in the network's range, as .npy; else its own samples are used."),
]
Labels = Annotated[Path | None, typer.Option(help="Their classes (n,), integers, as .npy.")]
NullLabel = Annotated[
    int | None, typer.Option(help="The class index that was trained as 'no class', if it is the last of the model's.")
]
Prompts = Annotated[Path | None, typer.Option(help="Texts, one a line, that take the place of classes.")]
GuideName = Annotated[
    str | None, typer.Option(help="D_u: zero-label (the default with classes), or another network as SOURCE.")
]
Runs = Annotated[int, typer.Option(help="Images whose decided information is measured; at least 16 for an answer.")]
Steps = Annotated[str, typer.Option(help="Numbers of sampling steps for which steps are named, such as 20,50.")]
Share = Annotated[float, typer.Option(help="Share of the class information inside the window.")]


def check_share(share: float) -> None:
    """Raise `InvalidInputError` before anything is measured for a share that no window can hold."""
    if not 0.0 < share < 1.0:
        raise InvalidInputError(f"share is {share}; expected a number in (0, 1)")


def load_denoiser(source: str, device: str, null_label: int | None = None, prompts: Path | None = None) -> "Denoiser":
    """The denoiser that SOURCE names, on its device; raises what `from_diffusers` and `edm2.load` raise."""
    with options.packages_for("a network"):
        from ...neural.edm2 import RELEASES, load

        target = options.chosen_device(device)

    texts = None if prompts is None else _lines(prompts)
    if source in RELEASES or Path(source).suffix in (".safetensors", ".pkl"):
        if null_label is not None or texts is not None:
            raise InvalidInputError(f"{source} is a network of images; expected neither --null-label nor --prompts")
        return (_unet(source) or load(source)).to(target)
    if ".py:" in source:
        if null_label is not None or texts is not None:
            raise InvalidInputError(f"{source} is an object in Python; expected neither --null-label nor --prompts")
        return _from_python(source, target)
    with options.packages_for("a model of diffusers", "diffusers"):
        from ...neural.denoisers import from_diffusers

    net = from_diffusers(source, null_label=null_label, prompts=texts)
    return net.to(target)


def _unet(source: str) -> "AdaptedDenoiser | None":
    """The U-Net of App. D that a file holds, or None if that holds another network."""
    from ...neural.unet.network import UNet
    from ...neural.unet.weights import load_weights, read_card

    if Path(source).suffix != ".safetensors" or not Path(source).is_file():
        return None
    architecture = read_card(source).get("architecture")
    if not isinstance(architecture, dict) or architecture.get("name") != UNet.NAME:
        return None
    from ...neural.unet.denoiser import unet_denoiser

    return unet_denoiser(load_weights(source)[0])


def _from_python(source: str, device: "torch.device") -> "Denoiser":
    """The denoiser FILE.py:NAME, which is run as any program of the user's is; `InvalidInputError` for anything else.

    Objects of denoising-diffusion-pytorch are adapted.
    """
    import runpy
    import sys

    from ...neural.denoisers import from_denoising_diffusion_pytorch

    file, _, name = source.rpartition(":")
    if not Path(file).is_file():
        raise InvalidInputError(f"{file} is not a file; expected FILE.py:NAME")
    # As of a program, its neighbours can be imported, also later.
    folder = str(Path(file).resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = runpy.run_path(file, run_name="fastpatch_source").get(name)
        if not hasattr(found, "label_dim") and not hasattr(found, "alphas_cumprod") and callable(found):
            found = found()
    except Exception as error:  # whatever the user's own code raises
        raise InvalidInputError(
            f"{source} cannot be made ({type(error).__name__}: {reason(error)}); expected a denoiser, or a function "
            "without arguments that returns one"
        ) from error
    if hasattr(found, "model") or hasattr(found, "preconditioned_network_forward"):
        found = from_denoising_diffusion_pytorch(found)
    if not (callable(found) and hasattr(found, "label_dim")):
        raise InvalidInputError(
            f"{source} is {'missing' if found is None else type(found).__name__}; expected a denoiser, such as those "
            "of fastpatch.neural.denoisers, or an object of denoising-diffusion-pytorch"
        )
    net: Denoiser = found.to(device) if hasattr(found, "to") else found
    return net


def load_guide(name: str | None, device: str) -> "Denoiser | Literal['zero-label'] | None":
    return name if name is None or name == "zero-label" else load_denoiser(name, device)  # type: ignore[return-value]


def data_options(images: Path | None, labels: Path | None) -> "tuple[NDArray[Any] | None, NDArray[Any] | None]":
    """Images and labels of the two options; raises `InvalidInputError` for labels alone."""
    if labels is not None and images is None:
        raise InvalidInputError("--labels is given without --images; expected both, or neither")
    return (
        None if images is None else read_images(images),
        None if labels is None else _array(labels, "labels"),
    )


def read_images(path: Path) -> "NDArray[Any]":
    """Images (n, C, H, W) of a .npy file, float32 or float64; raises `InvalidInputError` or `DtypeError` otherwise."""
    found = _array(path, "images")
    if found.dtype == np.uint8:
        raise DtypeError(
            f"{path} holds bytes; expected float32 in the range of the network, such as x / 127.5 - 1 for [-1, 1]"
        )
    return found


def title(source: str, net: "Denoiser") -> str:
    from ...neural.denoiser import image_shape

    return f"{Path(source).name or source}, {'x'.join(map(str, image_shape(net)))}"


def _array(path: Path, name: str) -> "NDArray[Any]":
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidInputError(f"{path} cannot be read ({error}); expected {name} as a .npy file") from error
    if not isinstance(found, np.ndarray):
        raise InvalidInputError(f"{path} holds several arrays; expected {name} as a .npy file")
    return found


def _lines(path: Path) -> list[str]:
    try:
        found = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeError) as error:
        raise InvalidInputError(f"{path} cannot be read ({error}); expected prompts, one a line") from error
    texts = [line for line in found if line]
    if not texts:
        raise InvalidInputError(f"{path} holds no prompt; expected one a line")
    return texts
