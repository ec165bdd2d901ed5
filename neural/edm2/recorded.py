"""What the modules of a snapshot recorded of their construction, against its tensors and one another.

Tensors fix the widths of a network. Shares, clipping and the number of heads leave no trace in them, so each of these
must be the same wherever it was recorded.
"""

from typing import Any

from .pickle_reader import RefusedError, shown
from .snapshot import Module, Snapshot

__all__ = ["check_modules", "recorded_architecture"]

# The precision on CUDA and the dropout of training: the function is the same.
_WITHOUT_EFFECT = ("use_fp16", "dropout")
_RESAMPLE_FILTER = [1, 1]


def recorded_architecture(snapshot: Snapshot) -> dict[str, Any]:
    """The arguments that the network and its U-Net were constructed with, less those without effect.

    None stands for a default and is left out. Raises `RefusedError` where the two disagree.
    """
    root, unet = snapshot.modules.get(""), snapshot.modules.get("unet")
    if root is None or root.kind != "Precond" or unet is None or unet.kind != "UNet":
        raise RefusedError("a network other than a Precond around a UNet stands", 0 if root is None else root.offset)
    arguments: dict[str, Any] = {}
    for module in (unet, root):
        if module.positional:
            raise RefusedError(f"{module.kind} records arguments without their names", module.offset)
        _compare(module, module.named, arguments)
        arguments |= module.named
    if arguments.pop("resample_filter", None) not in (None, _RESAMPLE_FILTER):
        raise RefusedError(f"{unet.kind} resamples with another filter than {_RESAMPLE_FILTER}", unet.offset)
    return {key: value for key, value in arguments.items() if key not in _WITHOUT_EFFECT and value is not None}


def check_modules(snapshot: Snapshot, architecture: dict[str, Any]) -> None:
    """Compare each module with the complete ``architecture`` of a network that has the snapshot's tensors.

    Raises `RefusedError` that names the first difference.
    """
    for name, module in snapshot.modules.items():
        try:
            positional, expected = _expected(name, module.kind, snapshot, architecture)
        except KeyError as error:
            raise RefusedError(f"{module.kind} without {error.args[0]} stands", module.offset) from None
        if module.positional != positional[: len(module.positional)]:
            raise RefusedError(
                f"{module.kind} records {shown(str(module.positional))} where its tensors have {positional}",
                module.offset,
            )
        _compare(module, module.named, expected)
        _compare(module, module.attributes, expected)


def _expected(
    name: str, kind: str, snapshot: Snapshot, architecture: dict[str, Any]
) -> tuple[list[int], dict[str, Any]]:
    """Positional arguments, and arguments and attributes by name, of a module; KeyError for a missing tensor."""

    def shape(tensor: str) -> tuple[int, ...]:
        return snapshot.tensors[f"{name}.{tensor}"].shape

    if kind == "MPConv":
        width_out, width_in, *kernel = shape("weight")
        return [width_in, width_out], {"out_channels": width_out, "kernel": kernel}
    if kind == "MPFourier":
        return [*shape("freqs")], {}
    if kind == "Block":
        width_out, embedding = shape("emb_linear.weight")
        width_in = shape("conv_skip.weight")[1] if f"{name}.conv_skip.weight" in snapshot.tensors else width_out
        attends = f"{name}.attn_qkv.weight" in snapshot.tensors
        side, own = name.split(".")[-2:]
        mode = own.split("_")[-1]
        return [width_in, width_out, embedding], {
            **architecture,
            "out_channels": width_out,
            "flavor": side,
            "resample_mode": mode if mode in ("down", "up") else "keep",
            "resample_filter": _RESAMPLE_FILTER,
            "attention": attends,
            "num_heads": width_out // architecture["channels_per_head"] if attends else 0,
        }
    return [], architecture


def _compare(module: Module, found: dict[str, Any], expected: dict[str, Any]) -> None:
    for key in found:
        if key in expected and found[key] != expected[key]:
            raise RefusedError(
                f"{module.kind} records {key} = {shown(repr(found[key]))} where the network has {expected[key]!r}",
                module.offset,
            )
