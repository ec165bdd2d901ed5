"""Pickles made to harm: no name is looked up, nothing is called, no memory is taken on their word."""

import pickle
import pickletools
import re
import struct
import subprocess
import sys
import tracemalloc
from contextlib import contextmanager

import pytest
from pickles import Again, Call, Name, Opcodes, Stored, opcodes, pickled
from snapshots import (
    ORDERED_DICT,
    PERSISTENT,
    REBUILD,
    WEIGHT,
    container,
    refused,
    same_tensors,
    small,
    state_of,
    storage_bytes,
    with_storage,
)

from fastpatch.neural.edm2.pickle_reader import Budget, RefusedError, Vocabulary, read_pickle
from fastpatch.neural.edm2.snapshot import parse_snapshot


def live_payloads(canary):
    """What touches ``canary`` when Python's own machine reads it, by the name to be refused."""
    shell, python = f"touch {canary}", f"open({str(canary)!r}, 'w').close()"
    find = Call(Name("builtins", "getattr"), (Call(Name("builtins", "__import__"), ("os",)), "system"))
    decoded = Call(Name("_codecs", "decode"), (python.encode(), "ascii"))
    return {
        "posix.system": Call(Name("posix", "system"), (shell,)),
        "os.system": Call(Name("os", "system"), (shell,)),
        "builtins.eval": Call(Name("builtins", "eval"), (python,)),
        "builtins.exec": Call(Name("builtins", "exec"), (python,)),
        "subprocess.getoutput": Call(Name("subprocess", "getoutput"), (shell,)),
        "timeit.timeit": Call(Name("timeit", "timeit"), ("pass", python)),
        "shutil.os.system": Call(Name("shutil", "os.system"), (shell,)),
        "operator.call": Call(Name("operator", "call"), (find, shell)),
        "builtins.getattr": [Call(find, (shell,))],
        "_codecs.decode": Call(Name("builtins", "eval"), (decoded,)),
    }


@contextmanager
def memory_below(limit):
    """Fails where the block takes more bytes than this at any time."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit


class TestNothingIsExecuted:
    @pytest.fixture
    def canary(self, tmp_path):
        path = tmp_path / "canary"
        yield path
        assert not path.exists()

    def test_control_python_runs_the_payloads(self, canary):
        for name, payload in live_payloads(canary).items():
            pickle.loads(pickled(payload))
            assert canary.exists(), name
            canary.unlink()

    def test_alone_or_hidden_where_nothing_would_look(self, canary):
        for name, payload in live_payloads(canary).items():
            hidden = small() | {"dataset_kwargs": {"path": payload}}
            in_hooks = small()
            state_of(in_hooks["ema"])["_forward_hooks"] = payload
            in_source = small()
            in_source["ema"].arguments[0]["module_src"] = payload
            argument = small() | {"loss_fn": Call(PERSISTENT, (payload,))}
            for content in (payload, hidden, in_hooks, in_source, argument):
                # Where the call of a call is refused, its target has been refused already.
                refused(content, rf"STACK_GLOBAL names ({re.escape(name)}|builtins\.__import__|builtins\.eval), which")

    def test_control_torch_runs_what_is_in_a_storage(self, canary):
        torch = pytest.importorskip("torch", reason="torch is not installed")
        payload = Call(Name("os", "system"), (f"touch {canary}",))
        with pytest.raises(Exception, match=r"[Mm]agic|corrupt"):
            torch.storage._load_from_bytes(storage_bytes(WEIGHT, magic=payload))
        assert canary.exists()
        canary.unlink()

    @pytest.mark.parametrize("place", ["magic", "protocol", "machine", "identity", "keys"])
    def test_inside_the_bytes_of_a_storage(self, canary, place):
        payload = Call(Name("os", "system"), (f"touch {canary}",))
        refused(with_storage(WEIGHT, **{place: payload}), "GLOBAL names os.system, which no snapshot needs")

    def test_calls_inside_the_bytes_of_a_storage(self):
        refused(with_storage(WEIGHT, machine=Call(REBUILD)), r"GLOBAL names torch\._utils\._rebuild_tensor_v2")
        refused(with_storage(WEIGHT, machine=Call(Name("torch", "HalfStorage"))), "REDUCE is no opcode")

    def test_the_interpreter_notices_nothing(self, tmp_path):
        # Python reports imports, compilations, calls of the system and names that pickles look up to audit hooks.
        (tmp_path / "harmless.pkl").write_bytes(pickled(small()))
        (tmp_path / "hostile.pkl").write_bytes(pickled(Call(Name("posix", "system"), ("touch canary",))))
        code = (
            "import pickle, sys\n"
            "from fastpatch.neural.edm2.pickle_reader import RefusedError\n"
            "from fastpatch.neural.edm2.snapshot import parse_snapshot\n"
            "contents = [open(name, 'rb').read() for name in ('harmless.pkl', 'hostile.pkl')]\n"
            "seen, sys.dont_write_bytecode = [], True\n"
            "sys.addaudithook(lambda event, arguments: seen.append(event))\n"
            "parse_snapshot(contents[0])\n"
            "try:\n"
            "    parse_snapshot(contents[1])\n"
            "except RefusedError:\n"
            "    sys.stdout.write(f'{sorted({*seen})}')\n"
            "pickle.loads(contents[1])\n"
            "sys.stdout.write(f'{sorted({*seen})}')\n"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        quiet, loud = done.stdout.split("]")[:2]
        assert quiet == "['builtins.id'"
        assert "'pickle.find_class'" in loud
        assert "'os.system'" in loud

    def test_source_text_is_not_run(self):
        assert "raise SystemExit" in pickled(small()).decode("latin-1")
        parse_snapshot(pickled(small()))

    @pytest.mark.parametrize(
        "name",
        [
            Name("copyreg", "_reconstructor"),
            Name("torch.serialization", "load"),
            Name("torch._utils", "_rebuild_tensor"),
            Name("collections", "OrderedDict.fromkeys"),
            Name("dnnlib.util", "call_func_by_name"),
            Name("torch_utils.persistence", "_src_to_module"),
            # Joined it is one of the names that are expected.
            Name("torch", "_utils._rebuild_tensor_v2"),
            Name("", ""),
            Name("os\nsystem", "x" * 1000),
        ],
        ids=lambda name: f"{name.module}.{name.name}"[:40],
    )
    def test_all_other_names(self, name):
        refused(small() | {"loss_fn": name}, "STACK_GLOBAL names .*, which no snapshot needs")


class TestOpcodes:
    def test_those_of_snapshots_and_no_other(self):
        # The list is written out, so that one more needs a reason here too.
        plain = """PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT
            SHORT_BINUNICODE BINUNICODE SHORT_BINBYTES BINBYTES EMPTY_DICT EMPTY_LIST EMPTY_SET EMPTY_TUPLE
            TUPLE TUPLE1 TUPLE2 TUPLE3 APPEND APPENDS SETITEM SETITEMS MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET"""
        calls = {"STACK_GLOBAL", "REDUCE", "NEWOBJ", "BUILD"}
        for code in range(256):
            content = b"\x80\x04" + bytes([code])
            with pytest.raises(RefusedError) as caught:
                parse_snapshot(content)
            is_known = "is no opcode that a snapshot needs at offset 2" not in str(caught.value)
            names = [info.name for info in pickletools.opcodes if ord(info.code) == code]
            assert is_known == (len(names) == 1 and names[0] in {*plain.split(), *calls}), (code, names)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "the pickle needs 1 of 0 bytes left at offset 0"),
            (b"\x80", "PROTO needs 1 of 0 bytes left at offset 0"),
            (b"\x80\x01", "PROTO is 1, not one of"),
            (b"\x80\x06", "PROTO is 6, not one of"),
            (b"\x80\x04N", "the pickle needs 1 of 0 bytes left at offset 3"),
            (b"\x80\x04.", "STOP finds more or less than one object at offset 2"),
            (b"\x80\x04NN.", "STOP finds more or less than one object at offset 4"),
            (b"\x80\x04N(.", "STOP finds more or less than one object"),
            (b"\x80\x04N..", "1 bytes follow the pickle at offset 4"),
            (b"\x95" + b"\xff" * 8, "FRAME needs 18446744073709551615 of 0 bytes left"),
            (b"X\xff\xff\xff\xffabc", "BINUNICODE needs 4294967295 of 3 bytes left"),
            (b"B\xff\xff\xff\xffabc", "BINBYTES needs 4294967295 of 3 bytes left"),
            (b"C\xffabc", "SHORT_BINBYTES needs 255 of 3 bytes left"),
            (b"\x8a\xffabc", "LONG1 needs 255 of 3 bytes left"),
            (b"X\x02\0\0\0\xff\xfe.", "BINUNICODE is not UTF-8"),
            (b"\x8e" + b"\xff" * 8, "BINBYTES8 is no opcode"),
            (b"\x8b" + b"\xff" * 4, "LONG4 is no opcode"),
            (b"cos\nsystem\n(tR.", "GLOBAL is no opcode"),
            (b"(S'touch x'\nios\nsystem\n.", "STRING is no opcode"),
            (b"h\0.", "BINGET asks for object 0"),
            (b"j\xff\xff\xff\xff.", "LONG_BINGET asks for object 4294967295"),
            (b"q\0.", "BINPUT finds nothing on the stack"),
            (b"\x94.", "MEMOIZE finds nothing"),
            (b"a.", "APPEND finds nothing"),
            (b"]a.", "APPEND finds nothing"),
            (b"NNa.", "APPEND finds NoneType where list belongs"),
            (b"]e.", "APPENDS finds no MARK"),
            (b"t.", "TUPLE finds no MARK"),
            (b"N\x86.", "TUPLE2 finds nothing"),
            (b"N(\x85.", "TUPLE1 finds nothing"),
            (b"}(Nu.", "SETITEMS finds other than pairs"),
            (b"}NNs.", "SETITEM finds other than pairs of a text"),
            (b"}]Ns.", "SETITEM finds other than pairs of a text"),
            (b"]X\x01\0\0\0aNs.", "SETITEM finds list where dict belongs"),
            (b"N)R.", "REDUCE finds NoneType where Global belongs"),
            (b")NR.", "REDUCE finds NoneType where tuple belongs"),
            (b"NN\x93.", "STACK_GLOBAL finds NoneType where str"),
        ],
    )
    def test_damaged(self, content, message):
        refused(content, message)

    def test_lengths_cost_no_memory(self):
        # Each announces about four gigabytes.
        contents = [b"X\xff\xff\xff\xff", b"B\xff\xff\xff\xff", b"Nr\xff\xff\xff\xff.", b"\x95" + b"\xff" * 8]
        with memory_below(2**20):
            for content in contents:
                refused(content)

    @pytest.mark.parametrize("unit", [b"\x8f", b"}", b"(", b"N(", b"]\x94", b"]\x85", b"N\x94h\0"], ids=repr)
    def test_an_opcode_costs_little_memory(self, unit):
        opcodes = 2**14
        content = unit * (2 * opcodes)
        with (
            memory_below(400 * opcodes),
            pytest.raises(RefusedError, match="is one opcode more than any snapshot needs"),
        ):
            read_pickle(content, 0, len(content), Vocabulary(frozenset(), {}), Budget(opcodes=opcodes))

    def test_many_opcodes(self):
        refused(b"]" * 2**19, "EMPTY_LIST is one opcode more than any snapshot needs")

    def test_much_text(self):
        text = b"X" + struct.pack("<I", 2**20) + b"a" * 2**20
        refused(text * 5, "BINUNICODE holds more text than any snapshot needs")

    @pytest.mark.parametrize(("opening", "closing"), [(b"", b"\x85"), (b"]", b"a"), (b"}X\1\0\0\0a", b"s")], ids=repr)
    def test_deep_nesting(self, opening, closing):
        depth = 60000
        refused(opening * depth + b"N" + closing * depth + b".", "other than a mapping with encoder and ema")

    def test_deeply_nested_calls(self):
        target = Stored(0, Name("torch.storage", "_load_from_bytes"))
        depth = 40000
        content = opcodes(target).content + b"h\0" * depth + b"N" + b"\x85R" * depth
        refused(content + b"\x86.", "other than a mapping with encoder and ema")


class TestMemoAndState:
    def test_an_index_far_away(self):
        content = small() | {"loss_fn": Stored(2**32 - 1, ["x"]), "more": Again(2**32 - 1)}
        assert same_tensors(parse_snapshot(pickled(content)), parse_snapshot(pickled(small())))

    def test_a_name_exchanged_after_it_was_used(self):
        exchanged = [Name("collections", "OrderedDict"), Stored(0, "os"), Again(0), "system", Opcodes(b"\x93")]
        assert pickled(exchanged).count(b"collections") == 1
        refused(exchanged, "STACK_GLOBAL names os.system")

    def test_objects_that_contain_themselves(self):
        refused(Stored(500, {"a": Again(500)}), "other than a mapping")
        content = small() | {"loss_fn": Stored(500, {"a": Again(500)})}
        assert same_tensors(parse_snapshot(pickled(content)), parse_snapshot(pickled(small())))
        state_of(content["ema"])["_init_kwargs"] = Stored(501, {"a": Again(501)})
        refused(content, "that are no plain values")

    @pytest.mark.parametrize(
        ("target", "state", "message"),
        [
            (Name("dnnlib.util", "EasyDict"), {"__class__": "x"}, "BUILD finds dict where Record"),
            (Name("collections", "OrderedDict"), {"a": 1}, "BUILD finds dict where Record"),
            (Name("torch.nn.modules.container", "ModuleDict"), (None, {"a": 1}), "BUILD finds tuple where dict"),
            (Name("torch.nn.modules.container", "ModuleDict"), {"__class__": ORDERED_DICT}, "has no _parameters"),
            (PERSISTENT, {"__dict__": {}}, "stands where a call of .*_reconstruct_persistent_obj belongs"),
        ],
    )
    def test_state_set_where_none_belongs(self, target, state, message):
        refused(small() | {"ema": Call(target, (), new=True, state=state)}, message)

    def test_state_set_twice(self):
        refused(opcodes(container({})).content + b"}b.", "BUILD sets the state of .*ModuleDict a second time")

    def test_mappings_take_no_arguments(self):
        refused(Call(Name("collections", "OrderedDict"), ([("a", 1)],)), "uses collections.OrderedDict as no snapshot")
