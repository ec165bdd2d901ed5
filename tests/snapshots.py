"""Snapshots of EDM2 as pickles describe them: a complete one of two kilobytes, and that of any network."""

import re
import struct
from typing import Any

import numpy as np
import pytest
from pickles import Call, Name, Persistent, Writer, pickled

from fastpatch.neural.edm2.pickle_reader import RefusedError
from fastpatch.neural.edm2.snapshot import Snapshot, parse_snapshot

MAGIC = 0x1950A86A20F9469CFC6C
# The constructor's arguments that are not left at their defaults.
RECORDED = ("img_resolution", "img_channels", "label_dim", "model_channels", "channel_mult", "num_blocks")
RECORDED += ("attn_resolutions", "channels_per_head", "logvar_channels")
ORDERED_DICT = Call(Name("collections", "OrderedDict"))
REBUILD = Name("torch._utils", "_rebuild_tensor_v2")
LOAD = Name("torch.storage", "_load_from_bytes")
PERSISTENT = Name("torch_utils.persistence", "_reconstruct_persistent_obj")


def storage_bytes(array: np.ndarray, **changes: Any) -> bytes:
    """What a legacy ``torch.save`` of the storage with these elements writes; ``changes`` replace parts of it."""
    parts = {
        "magic": MAGIC,
        "protocol": 1001,
        "machine": {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}},
        "kind": "storage",
        "type": Name("torch", {2: "HalfStorage", 4: "FloatStorage"}[array.itemsize]),
        "key": "94689502703392",
        "location": "cpu",
        "count": array.size,
        "view": None,
        "keys": ["94689502703392"],
        "size": struct.pack("<q", array.size),
        "content": array.tobytes(),
    } | changes
    names = ("kind", "type", "key", "location", "count", "view")
    identity = Persistent(changes.get("identity", tuple(parts[name] for name in names)))
    values = (parts["magic"], parts["protocol"], parts["machine"], identity, parts["keys"])
    pickles = [Writer(globals_by_line=True).pickle(value) for value in values]
    return b"".join([*pickles, parts["size"], parts["content"]])


def tensor(array: np.ndarray, **changes: Any) -> Call:
    parts = {
        "storage": Call(LOAD, (storage_bytes(array),)),
        "offset": 0,
        "size": array.shape,
        "strides": tuple(stride // array.itemsize for stride in array.strides),
        "gradients": False,
        "hooks": ORDERED_DICT,
    } | changes
    return Call(REBUILD, tuple(parts.values()))


def parameter(array: np.ndarray) -> Call:
    return Call(Name("torch._utils", "_rebuild_parameter"), (tensor(array), True, ORDERED_DICT))


def persistent(kind: str, state: dict[str, Any]) -> Call:
    meta = {"type": "class", "version": 6, "module_src": "raise SystemExit", "class_name": kind, "state": state}
    return Call(PERSISTENT, (meta,))


def container(modules: dict[str, Any]) -> Call:
    state = {"training": False, "_parameters": {}, "_buffers": {}, "_modules": modules}
    return Call(Name("torch.nn.modules.container", "ModuleDict"), new=True, state=state)


def module(kind: str, *arguments: Any, parameters=(), buffers=(), modules=(), named=None, **attributes: Any) -> Call:
    state = {
        "training": False,
        "_parameters": {name: parameter(array) for name, array in dict(parameters).items()},
        "_buffers": {name: tensor(array) for name, array in dict(buffers).items()},
        "_non_persistent_buffers_set": set(),
        "_forward_hooks": ORDERED_DICT,
        "_modules": dict(modules),
        **attributes,
        "_init_args": arguments,
        "_init_kwargs": named or {},
    }
    return persistent(kind, state)


def snapshot(net: Any, dtype: str = "<f2") -> dict[str, Any]:
    """The tree that the authors' classes would pickle for an `EDM2Network`: its tensors in ``dtype``, and records."""
    state = {name: value.numpy().astype(dtype) for name, value in net.state_dict().items()}
    recorded = {key: net.architecture[key] for key in RECORDED}

    def conv(name: str) -> Call:
        weight = state[f"{name}.weight"]
        out, into, *kernel = weight.shape
        named = {"kernel": kernel}
        return module("MPConv", into, out, parameters={"weight": weight}, named=named, out_channels=out)

    def fourier(name: str) -> Call:
        buffers = {key: state[f"{name}.{key}"] for key in ("freqs", "phases")}
        return module("MPFourier", len(buffers["freqs"]), buffers=buffers)

    def block(name: str) -> Call:
        parts = ("conv_res0", "emb_linear", "conv_res1", "conv_skip", "attn_qkv", "attn_proj")
        inside = {part: conv(f"{name}.{part}") for part in parts if f"{name}.{part}.weight" in state}
        out, embedding = state[f"{name}.emb_linear.weight"].shape
        into = state[f"{name}.conv_skip.weight"].shape[1] if "conv_skip" in inside else out
        side, attends = name.split(".")[1], "attn_qkv" in inside
        mode = next((mode for mode in ("down", "up") if name.endswith(f"_{mode}")), "keep")
        return module(
            "Block", into, out, embedding,
            parameters={"emb_gain": state[f"{name}.emb_gain"]}, modules=inside,
            named={"flavor": side, "attention": attends, "resample_mode": mode},
            out_channels=out, flavor=side, resample_filter=[1, 1], resample_mode=mode,
            num_heads=out // net.architecture["channels_per_head"] if attends else 0, dropout=0,
            res_balance=0.3, attn_balance=0.3, clip_act=256,
        )  # fmt: skip

    def side(which: str) -> Call:
        names = dict.fromkeys(name.split(".")[2] for name in state if name.startswith(f"unet.{which}."))
        parts = {name: f"unet.{which}.{name}" for name in names}
        return container({name: conv(full) if name.endswith("_conv") else block(full) for name, full in parts.items()})

    inside = {"emb_fourier": fourier("unet.emb_fourier"), "emb_noise": conv("unet.emb_noise")}
    if net.label_dim:
        inside["emb_label"] = conv("unet.emb_label")
    inside |= {"enc": side("enc"), "dec": side("dec"), "out_conv": conv("unet.out_conv")}
    unet = module(
        "UNet", parameters={"out_gain": state["unet.out_gain"]}, modules=inside, named=recorded,
        label_balance=0.5, concat_balance=0.5,
    )  # fmt: skip
    outer = {"unet": unet, "logvar_fourier": fourier("logvar_fourier"), "logvar_linear": conv("logvar_linear")}
    ema = module("Precond", modules=outer, named=recorded, label_dim=net.label_dim, use_fp16=True, sigma_data=0.5)
    return {"encoder": persistent("StandardRGBEncoder", {}), "loss_fn": persistent("EDM2Loss", {}), "ema": ema}


WEIGHT = np.arange(1, 7, dtype="<f2").reshape(2, 3)
FREQS, PHASES = np.linspace(0.1, 0.9, 6, dtype="<f2"), np.linspace(-0.9, -0.1, 6, dtype="<f2")
GAIN = np.array(1.0 / 3.0, dtype="<f4")


def small() -> dict[str, Any]:
    """As few modules and tensors as use every kind of record that a snapshot has; two kilobytes."""
    conv = module("MPConv", 3, 2, parameters={"weight": WEIGHT}, named={"kernel": []}, out_channels=2)
    fourier = module("MPFourier", 6, buffers={"freqs": FREQS, "phases": PHASES})
    unet = module("UNet", parameters={"out_gain": GAIN}, modules={"enc": container({"conv": conv}), "none": None})
    ema = module("Precond", modules={"unet": unet, "logvar_fourier": fourier}, named={"label_dim": 3}, sigma_data=0.5)
    return {"encoder": persistent("StandardRGBEncoder", {}), "dataset_kwargs": {"path": "x"}, "ema": ema}


def state_of(call: Call, *path: str) -> dict[str, Any]:
    """The state of a persistent object, or of the module that ``path`` leads to from it; may be changed."""
    state: dict[str, Any] = call.arguments[0]["state"] if call.arguments else call.state
    return state_of(state["_modules"][path[0]], *path[1:]) if path else state


def with_tensor(value: Any) -> dict[str, Any]:
    """`small` with ``value`` instead of one of its tensors, logvar_fourier.freqs."""
    content = small()
    state_of(content["ema"], "logvar_fourier")["_buffers"]["freqs"] = value
    return content


def with_storage(array: np.ndarray, **changes: Any) -> dict[str, Any]:
    """`small` with such a tensor, whose storage is changed as `storage_bytes` does."""
    return with_tensor(tensor(array, storage=Call(LOAD, (storage_bytes(array, **changes),))))


def refused(content: Any, message: str | None = None) -> None:
    """The bytes, or what is pickled first, are refused in one short sentence that names an offset."""
    data = content if isinstance(content, bytes) else pickled(content)
    with pytest.raises(RefusedError, match=message) as caught:
        parse_snapshot(data)
    text = str(caught.value)
    assert re.search(r" at offset \d+$", text)
    assert "\n" not in text
    assert len(text) < 400


def same_tensors(first: Snapshot, second: Snapshot) -> bool:
    """Names, dtypes, shapes and bits."""
    return first.tensors.keys() == second.tensors.keys() and all(
        (array.dtype, array.shape, array.tobytes()) == (other.dtype, other.shape, other.tobytes())
        for array, other in ((first.tensors[name], second.tensors[name]) for name in first.tensors)
    )
