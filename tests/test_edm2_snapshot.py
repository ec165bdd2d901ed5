"""Released snapshots are read bit for bit, and files that are no such snapshot refused, however they are damaged."""

import pickle
import random

import numpy as np
import pytest
from edm2_cases import shared_file
from hypothesis import given
from hypothesis import strategies as st
from pickles import Again, Call, Name, Stored, pickled
from snapshots import (
    FREQS,
    GAIN,
    ORDERED_DICT,
    PERSISTENT,
    PHASES,
    WEIGHT,
    container,
    persistent,
    refused,
    same_tensors,
    small,
    state_of,
    tensor,
)

from fastpatch.neural.edm2.pickle_reader import Budget, RefusedError, Vocabulary, read_pickle
from fastpatch.neural.edm2.snapshot import Snapshot, parse_snapshot

LEAVES = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | st.text(max_size=300)
PLAIN = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(max_size=9), inner)
)


class TestReading:
    def test_names_bits_and_records(self):
        found = parse_snapshot(pickled(small()))
        tensors = {
            "unet.out_gain": GAIN,
            "unet.enc.conv.weight": WEIGHT,
            "logvar_fourier.freqs": FREQS,
            "logvar_fourier.phases": PHASES,
        }
        assert same_tensors(found, Snapshot({}, tensors))
        assert [*found.modules] == ["", "unet", "unet.enc.conv", "logvar_fourier"]
        conv = found.modules["unet.enc.conv"]
        assert (conv.kind, conv.positional, conv.named) == ("MPConv", [3, 2], {"kernel": []})
        assert conv.attributes == {"training": False, "out_channels": 2}

    @given(values=PLAIN, protocol=st.integers(2, 5))
    def test_plain_data_as_python_s_own_pickler_writes_it(self, values, protocol):
        content = pickle.dumps(values, protocol)
        assert read_pickle(content, 0, len(content), Vocabulary(frozenset(), {}), Budget()) == (values, len(content))

    def test_released_structure_bit_for_bit(self):
        found = parse_snapshot(shared_file("edm2-tiny.pkl").read_bytes())
        with np.load(shared_file("edm2-tiny-state.npz")) as expected:
            assert same_tensors(found, Snapshot({}, {name: expected[name] for name in found.tensors}))
            assert found.tensors.keys() == {*expected}
        assert {array.dtype for array in found.tensors.values()} == {np.dtype(np.float16)}
        assert found.modules[""].named["channel_mult"] == [1, 2]


class TestStructure:
    def test_other_objects(self):
        for content in (None, [], {}, {"ema": None}, Name("collections", "OrderedDict"), "x" * 200):
            refused(content, "other than a mapping with encoder and ema")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"class_name": "Linear"}, "a module is Linear, none of Precond"),
            ({"class_name": 3}, "an object is no class of version 6"),
            ({"class_name": "x" * 300}, "a module is 'x{100}', none of"),
            ({"class_name": "a\nb"}, r"a module is 'a\\nb', none of"),
            ({"version": 7}, "an object is no class of version 6"),
            ({"type": "function"}, "an object is no class of version 6"),
            ({"state": None}, "an object is no class of version 6"),
        ],
        ids=repr,
    )
    def test_other_persistent_objects(self, change, message):
        content = small()
        content["ema"].arguments[0].update(change)
        refused(content, message)

    def test_networks_of_latents(self):
        refused(small() | {"encoder": persistent("StabilityVAEEncoder", {})}, "its encoder is StabilityVAEEncoder, not")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"_parameters": None}, "a module has no _parameters"),
            ({"_parameters": {"weight": 3}}, "int stands where a call of torch._utils._rebuild_parameter"),
            ({"_buffers": {"freqs": ORDERED_DICT}}, "dict stands where a call of torch._utils._rebuild_tensor_v2"),
            ({"_modules": {"": container({})}}, "'' is no name"),
            ({"_modules": {"a.b": container({})}}, "a.b is no name"),
            ({"_modules": {"n" * 200: container({})}}, "is no name of a module or tensor"),
            ({"_modules": {"unet": 3}}, "int stands where a call of torch_utils.persistence"),
            ({"_modules": {"unet": tensor(WEIGHT)}}, "_rebuild_tensor_v2 stands where a call of torch_utils"),
            ({"_init_args": None}, "Precond has no record of its constructor's arguments"),
            ({"_init_args": (tensor(WEIGHT),)}, "that are no plain values"),
            ({"_init_kwargs": {"channel_mult": [1, [2]]}}, "that are no plain values"),
            ({"_init_kwargs": {"channel_mult": [1] * 17}}, "that are no plain values"),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_other_states(self, change, message):
        content = small()
        state_of(content["ema"]).update(change)
        refused(content, message)

    def test_a_module_in_two_places(self):
        content = small()
        state_of(content["ema"])["_modules"] = {"a": Stored(500, container({})), "b": Again(500)}
        refused(content, "the state of the module b is another's too")

    def test_a_module_inside_itself(self):
        content = small()
        inner = Call(PERSISTENT, ({"type": "class", "version": 6, "class_name": "UNet", "state": Again(500)},))
        state = state_of(content["ema"]) | {"_modules": {"inner": inner}}
        content["ema"] = persistent("Precond", Stored(500, state))
        refused(content, "the state of the module inner is another's too")

    def test_more_than_the_pickle(self):
        refused(pickled(small()) + b"\0", "1 bytes follow the pickle")


class TestDamage:
    """A complete snapshot of a few kilobytes, damaged in every way: refused in one sentence, or read as it was."""

    def test_truncated_at_every_byte(self):
        whole = pickled(small())
        assert 2000 < len(whole) < 8000
        for length in range(len(whole)):
            refused(whole[:length])

    def test_a_bit_changed(self):
        whole = pickled(small())
        intact = parse_snapshot(whole)
        elements = {place for array in intact.tensors.values() for place in places(whole, array)}
        rng = random.Random(0)
        outcomes = []
        for _ in range(2000):
            at = rng.randrange(len(whole))
            damaged = bytearray(whole)
            damaged[at] ^= 1 << rng.randrange(8)
            try:
                found = parse_snapshot(bytes(damaged))
            except RefusedError:
                outcomes.append("refused")
                continue
            if at in elements:
                outcomes.append("another element")
                assert different_bytes(found, intact) == 1
            elif found.tensors.keys() != intact.tensors.keys():
                outcomes.append("another name")
                assert [bits(array) for array in found.tensors.values()] == [*map(bits, intact.tensors.values())]
            else:
                # Something of no consequence for them, such as a dataset's path or whether gradients were wanted.
                outcomes.append("as it was")
                assert same_tensors(found, intact)
        assert {*outcomes} == {"refused", "another element", "another name", "as it was"}
        assert outcomes.count("refused") > 1000

    def test_bytes_removed_and_put_in(self):
        whole = pickled(small())
        rng = random.Random(1)
        refusals = 0
        for _ in range(2000):
            start, length = rng.randrange(len(whole)), rng.randrange(9)
            try:
                parse_snapshot(whole[:start] + rng.randbytes(rng.randrange(9)) + whole[start + length :])
            except RefusedError:
                refusals += 1
        assert refusals > 1000

    def test_released_structure_truncated(self):
        whole = shared_file("edm2-tiny-guide.pkl").read_bytes()
        rng = random.Random(2)
        for length in [len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(50))]:
            refused(whole[:length])


def places(content, array):
    """Where in the file the elements of a tensor are."""
    assert content.count(array.tobytes()) == 1
    start = content.index(array.tobytes())
    return range(start, start + array.nbytes)


def bits(array):
    return array.dtype, array.shape, array.tobytes()


def different_bytes(first, second):
    assert first.tensors.keys() == second.tensors.keys()
    pairs = [(first.tensors[name].tobytes(), second.tensors[name].tobytes()) for name in first.tensors]
    return sum(a != b for one, other in pairs for a, b in zip(one, other, strict=True))
