"""Tensors whose numbers do not agree with the bytes that are there, and those that do."""

import struct

import numpy as np
import pytest
from pickles import Again, Call, Name, Stored, pickled
from snapshots import LOAD, REBUILD, WEIGHT, refused, small, state_of, storage_bytes, tensor, with_storage, with_tensor

from fastpatch.neural.edm2.snapshot import parse_snapshot


def test_axes_in_another_order():
    elements = np.arange(24, dtype="<f4")
    array = elements.reshape(2, 3, 4).transpose(1, 2, 0)
    content = with_tensor(tensor(array, storage=Call(LOAD, (storage_bytes(elements),))))
    found = parse_snapshot(pickled(content)).tensors["logvar_fourier.freqs"]
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_torch_writes(dtype):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    array = np.linspace(-1.0, 1.0, 300).astype(dtype)
    rebuild, arguments = torch.from_numpy(array).__reduce_ex__(4)
    load, content = arguments[0].__reduce__()
    assert (rebuild.__name__, load.__name__) == (REBUILD.name, LOAD.name)
    found = parse_snapshot(pickled(with_tensor(tensor(array, storage=Call(LOAD, content)))))
    np.testing.assert_array_equal(found.tensors["logvar_fourier.freqs"], array)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"magic": 7}, "another magic number"),
        ({"magic": [["x"]]}, "another magic number"),
        ({"protocol": 1002}, "another protocol"),
        ({"machine": {"little_endian": False}}, "another byte order"),
        ({"machine": None}, "another byte order"),
        ({"kind": "module"}, "another persistent id"),
        ({"type": Name("torch", "LongStorage")}, "GLOBAL names torch.LongStorage"),
        ({"type": "HalfStorage"}, "another persistent id"),
        ({"view": ("key", 0, 6)}, "another persistent id"),
        ({"identity": "storage"}, r"persistent id is called with \(str\)"),
        ({"key": 3}, "another persistent id"),
        ({"keys": ["other"]}, "another list of keys"),
        ({"keys": []}, "another list of keys"),
        ({"count": 5}, "another number of bytes than its elements take"),
        ({"count": 7}, "another number of bytes than its elements take"),
        ({"count": 0}, "another number of bytes"),
        ({"count": -6}, "another number of bytes"),
        ({"count": 2**62}, "another number of bytes"),
        ({"count": 2**80}, "another number of bytes"),
        ({"count": True}, "another persistent id"),
        ({"size": struct.pack("<q", 5)}, "another number of elements"),
        ({"size": struct.pack("<q", -6)}, "another number of elements"),
        ({"content": WEIGHT.tobytes() + b"x"}, "another number of bytes"),
        ({"content": b""}, "another number of bytes"),
        ({"type": Name("torch", "FloatStorage")}, "another number of bytes"),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, dict) else "",
)
def test_lying_storage(changes, message):
    refused(with_storage(WEIGHT, **changes), message)


@pytest.mark.parametrize(
    "changes",
    [
        {"offset": 1},
        {"offset": -1},
        {"offset": 2**70},
        {"size": (2, 4)},
        {"size": (2, -3)},
        {"size": (-2, -3)},
        {"size": (0, 3)},
        {"size": (2**32, 2**32)},
        {"size": (2, 3, 1, 1, 1), "strides": (3, 1, 1, 1, 1)},
        {"size": (6,)},
        {"size": (2, 3.0)},
        {"size": (True, 6), "strides": (6, 1)},
        {"strides": (0, 1)},
        {"strides": (3, 2)},
        {"strides": (3, -1)},
        {"strides": (1, 1)},
        {"strides": (2**62, 1)},
        {"strides": (3, 1, 1)},
        {"size": (1, 6), "strides": (2**63, 1)},
        {"size": (), "strides": ()},
    ],
    ids=repr,
)
def test_size_and_strides_that_do_not_fit(changes):
    refused(with_tensor(tensor(WEIGHT, **changes)), "offset, size and strides do not fit the 6 elements")


@pytest.mark.parametrize(
    "changes",
    [{"offset": 0.0}, {"size": [2, 3]}, {"gradients": 1}, {"hooks": None}, {"storage": WEIGHT.tobytes()}, {"more": 1}],
    ids=lambda changes: next(iter(changes)),
)
def test_arguments_of_other_types(changes):
    refused(with_tensor(tensor(WEIGHT, **changes)), r"_rebuild_tensor_v2 is called with \(")


def test_truncated_at_every_byte():
    whole = storage_bytes(WEIGHT)
    for length in range(len(whole)):
        refused(with_tensor(tensor(WEIGHT, storage=Call(LOAD, (whole[:length],)))))


def test_storage_shared_by_two_tensors():
    content = small()
    buffers = state_of(content["ema"], "logvar_fourier")["_buffers"]
    rest = buffers["freqs"].arguments[1:]
    buffers["freqs"] = Call(REBUILD, (Stored(500, buffers["freqs"].arguments[0]), *rest))
    buffers["phases"] = Call(REBUILD, (Again(500), *rest))
    refused(content, "two tensors share a storage")
