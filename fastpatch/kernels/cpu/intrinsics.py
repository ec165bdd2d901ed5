"""Instructions and memory accesses for which Python has no words, as LLVM's."""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

__all__ = ["X86", "bits_of", "fma", "from_bfloat16", "from_bits", "load", "nearest", "read", "restore_control"]
__all__ += ["rotate_left", "store", "subnormals_as_zero", "sum_sixteens", "to_bfloat16"]

X86 = platform.machine().lower() in ("x86_64", "amd64", "x86", "i686")
# Flush to zero, and denormals are zero.
_FLUSH = 0x8040


@intrinsic
def load(typing_context, array, index):
    """Element ``index`` of a contiguous array, declared not to overlap what `store` writes in the same loop."""

    def codegen(context, builder, signature, arguments):
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        value = builder.load(builder.gep(data, [arguments[1]]))
        value.set_metadata("alias.scope", _scope(builder.module))
        _use_whole_registers(builder.function)
        return value

    return array.dtype(array, types.int64), codegen


@intrinsic
def read(typing_context, array, index):
    """Element ``index`` of a contiguous array; plain indexing would test for a negative index."""

    def codegen(context, builder, signature, arguments):
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load(builder.gep(data, [arguments[1]]))

    return array.dtype(array, types.int64), codegen


@intrinsic
def store(typing_context, array, index, value):
    """Write element ``index`` of a contiguous array, declared not to overlap what `load` reads in the same loop.

    Without the declaration the compiler must compare every pair of streams before a loop, and gives up on vectorising
    beyond eight comparisons.
    """

    def codegen(context, builder, signature, arguments):
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        stored = builder.store(arguments[2], builder.gep(data, [arguments[1]]))
        stored.set_metadata("noalias", _scope(builder.module))
        _use_whole_registers(builder.function)
        return context.get_dummy_value()

    return types.void(array, types.int64, array.dtype), codegen


def _use_whole_registers(function):
    """Vectorise for 512 bits where the CPU has them: on Intel's, LLVM takes 256 unless a function says otherwise."""
    # llvmlite's own `add` refuses an attribute that it does not know.
    set.add(function.attributes, '"prefer-vector-width"="512"')


def _scope(module):
    domain = module.add_metadata(["fastpatch kernels"])
    return module.add_metadata([module.add_metadata(["read only in this loop", domain])])


@intrinsic
def fma(typing_context, a, b, c):
    """a * b + c rounded once: one instruction where the CPU has it, the same bits everywhere."""
    if not (a == b == c and a in (types.float32, types.float64)):
        return None

    def codegen(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return a(a, a, a), codegen


@intrinsic
def bits_of(typing_context, value):
    """The bit pattern of a float, as a signed integer of the same width."""
    width = types.int32 if value == types.float32 else types.int64

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(width))

    return width(value), codegen


@intrinsic
def from_bits(typing_context, pattern):
    """The float of a bit pattern."""
    float_type = types.float32 if pattern == types.int32 else types.float64

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(float_type))

    return float_type(pattern), codegen


@intrinsic
def from_bfloat16(typing_context, pattern):
    """The float32 of a bfloat16, given as an unsigned integer of 16 bits."""

    def codegen(context, builder, signature, arguments):
        i32 = ir.IntType(32)
        wide = builder.shl(builder.zext(arguments[0], i32), ir.Constant(i32, 16))
        return builder.bitcast(wide, ir.FloatType())

    return types.float32(types.uint16), codegen


@intrinsic
def to_bfloat16(typing_context, value):
    """The nearest bfloat16 of a float32, ties to even, as an unsigned integer of 16 bits."""

    def codegen(context, builder, signature, arguments):
        i32 = ir.IntType(32)
        bits = builder.bitcast(arguments[0], i32)
        half = ir.Constant(i32, 16)
        odd = builder.and_(builder.lshr(bits, half), ir.Constant(i32, 1))
        rounded = builder.add(builder.add(bits, ir.Constant(i32, 0x7FFF)), odd)
        return builder.trunc(builder.lshr(rounded, half), ir.IntType(16))

    return types.uint16(types.float32), codegen


@intrinsic
def rotate_left(typing_context, word, count):
    """32-bit rotation, spelled as shifts Numba would widen to 64 bits."""

    def codegen(context, builder, signature, arguments):
        i32 = ir.IntType(32)
        rotate = builder.module.declare_intrinsic("llvm.fshl", [i32], ir.FunctionType(i32, [i32, i32, i32]))
        return builder.call(rotate, [arguments[0], arguments[0], arguments[1]])

    return types.uint32(types.uint32, types.uint32), codegen


@intrinsic
def nearest(typing_context, z):
    """The nearest integer, ties to even, of a float of any size."""

    def codegen(context, builder, signature, arguments):
        kind = arguments[0].type
        return builder.call(
            builder.module.declare_intrinsic("llvm.rint", [kind], ir.FunctionType(kind, [kind])), arguments
        )

    return z(z), codegen


@intrinsic
def sum_sixteens(typing_context, array, index, n):
    """Sum of n elements, a multiple of 16, by sixteen partial sums and a tree of fixed order on any CPU."""

    def codegen(context, builder, signature, arguments):
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        element = context.get_value_type(array.dtype)
        vector = ir.VectorType(element, 16)
        partial = cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * 16))
        step = context.get_constant(types.int64, 16)
        with cgutils.for_range_slice(builder, context.get_constant(types.int64, 0), arguments[2], step) as (at, _):
            start = builder.gep(data, [builder.add(arguments[1], at)])
            loaded = builder.load(builder.bitcast(start, vector.as_pointer()), align=array.dtype.bitwidth // 8)
            builder.store(builder.fadd(builder.load(partial), loaded), partial)
        total = builder.load(partial)
        for half in (8, 4, 2, 1):
            lanes = ir.Constant(ir.VectorType(ir.IntType(32), 16), [i + half if i < half else i for i in range(16)])
            total = builder.fadd(total, builder.shuffle_vector(total, total, lanes))
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return array.dtype(array, types.int64, types.int64), codegen


@intrinsic
def subnormals_as_zero(typing_context):
    """From here on this thread counts subnormal numbers as zero, on x86; returns what `restore_control` takes.

    Some CPUs take a hundred times as long for an operation with one of them. Others, such as ARM's, do not, and are
    left alone.
    """

    def codegen(context, builder, signature, arguments):
        i32 = ir.IntType(32)
        if not X86:
            return ir.Constant(i32, 0)
        word = cgutils.alloca_once(builder, i32)
        _control(builder, "st", word)
        before = builder.load(word)
        builder.store(builder.or_(before, ir.Constant(i32, _FLUSH)), word)
        _control(builder, "ld", word)
        return before

    return types.int32(), codegen


@intrinsic
def restore_control(typing_context, before):
    """Undo `subnormals_as_zero`, whose value this takes."""

    def codegen(context, builder, signature, arguments):
        if X86:
            word = cgutils.alloca_once_value(builder, arguments[0])
            _control(builder, "ld", word)
        return context.get_dummy_value()

    return types.void(types.int32), codegen


def _control(builder, direction, word):
    """Store or load the control word of vector arithmetic, at a pointer to 32 bits."""
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer])
    function = builder.module.declare_intrinsic(f"llvm.x86.sse.{direction}mxcsr", fnty=kind)
    builder.call(function, [builder.bitcast(word, pointer)])
