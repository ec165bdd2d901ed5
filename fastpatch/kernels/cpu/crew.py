"""How the threads of a `Crew` share out work and wait for one another, without Python."""

import ctypes
import sys

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from ..jit import kernel
from ..pool import ARRIVED, CLAIMED, GIVEN_UP
from .intrinsics import X86

__all__ = ["claim", "meet"]

# Looks at the board before a thread offers its core to others: some ten microseconds.
_LOOKS = 1000

_YIELD = "fastpatch_yield"

# The system's own way to let another thread run on this core. Machine code from the cache finds it by this name.
_library = ctypes.WinDLL("kernel32") if sys.platform == "win32" else ctypes.CDLL(None)
_system_yield = _library.SwitchToThread if sys.platform == "win32" else _library.sched_yield
binding.add_symbol(_YIELD, ctypes.cast(_system_yield, ctypes.c_void_p).value)


@intrinsic
def _add(typing_context, board, word, value):
    """Add to a word of the board, and return what it held before; all that was written before is seen by who reads."""

    def codegen(context, builder, signature, arguments):
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [arguments[1]]), arguments[2], "seq_cst")

    return types.int64(board, types.int64, types.int64), codegen


@intrinsic
def _look(typing_context, board, word):
    """A word of the board; all that was written before it was is seen afterwards."""

    def codegen(context, builder, signature, arguments):
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "acquire", 8)

    return types.int64(board, types.int64), codegen


@intrinsic
def _pause(typing_context):
    """A moment's rest for a core that waits in a loop."""

    def codegen(context, builder, signature, arguments):
        if X86:
            nothing = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", fnty=nothing), [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _yield_core(typing_context):
    """Let another thread run on this core, if one waits for it."""

    def codegen(context, builder, signature, arguments):
        module = builder.module
        function = module.globals.get(_YIELD) or ir.Function(module, ir.FunctionType(ir.IntType(32), []), _YIELD)
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), codegen


@kernel()
def claim(crew):
    """The number of the next task, 0, 1, …, for this thread alone."""
    return _add(crew.board, CLAIMED, 1)


@kernel()
def meet(crew, number):
    """Wait until the whole crew has come to its meeting of this number, 1, 2, …; False if somebody has given up."""
    if crew.workers == 1:
        return True
    _add(crew.board, ARRIVED, 1)
    looks = 0
    while _look(crew.board, ARRIVED) < number * crew.workers:
        if _look(crew.board, GIVEN_UP) != 0:
            return False
        looks += 1
        if looks < _LOOKS:
            _pause()
        else:
            _yield_core()
    return True
