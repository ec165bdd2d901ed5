"""How CUDA kernels are compiled, and their scalar operations; in Numba's CUDA simulator, those of `simulator`."""

import numpy as np
from numba import cuda, types
from numba.core import config

from ..cache import sources

__all__ = ["add", "bits", "compiled", "device", "exp2", "fma", "from_bits", "inverse", "rotate_left"]

_U = np.uint32

if config.ENABLE_CUDASIM:
    from .simulator import add, bits, compiled, device, exp2, fma, from_bits, inverse, rotate_left
else:
    from llvmlite import ir
    from numba.cuda.extending import intrinsic

    device = cuda.jit(device=True, forceinline=True)

    def compiled(function):
        """A kernel, its machine code cached on disk where Numba finds a directory for it.

        Numba itself looks only at the file that holds the kernel, not at those of the functions that it calls; here it
        is renewed when any file of `fastpatch.kernels` changes.
        """
        try:
            dispatcher = cuda.jit(cache=True)(function)
        except RuntimeError as error:
            if "cache" not in str(error):
                raise
            return cuda.jit(function)
        file = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
        if hasattr(file, "_source_stamp"):
            file._source_stamp = file._source_stamp, sources()
        return dispatcher

    @device
    def fma(a, b, c):
        return cuda.fma(a, b, c)

    @device
    def add(a, b):
        return _U(a + b)

    @device
    def rotate_left(word, count):
        return _U(_U(word << _U(count)) | _U(word >> _U(32 - count)))

    @device
    def bits(value):
        return cuda.libdevice.float_as_int(value)

    @device
    def from_bits(pattern):
        return cuda.libdevice.int_as_float(pattern)

    def _approximate(builder, instruction, value):
        """A hardware approximation in float32, by its name in PTX; subnormals count as zero."""
        f32 = ir.FloatType()
        assembly = ir.InlineAsm(ir.FunctionType(f32, [f32]), f"{instruction} $0, $1;", "=f,f", side_effect=False)
        return builder.call(assembly, [value])

    @intrinsic
    def exp2(typing_context, z):
        """2**z for z <= 0."""

        def codegen(context, builder, signature, arguments):
            if z == types.float32:
                return _approximate(builder, "ex2.approx.ftz.f32", arguments[0])
            double = ir.DoubleType()
            library = builder.module.globals.get("__nv_exp2") or ir.Function(
                builder.module, ir.FunctionType(double, [double]), "__nv_exp2"
            )
            return builder.call(library, arguments)

        return z(z), codegen

    @intrinsic
    def inverse(typing_context, value):
        """1 / value for a normal value >= 1; in float32 the hardware's estimate after one Newton iteration."""

        def codegen(context, builder, signature, arguments):
            one = ir.Constant(arguments[0].type, 1.0)
            if value == types.float64:
                return builder.fdiv(one, arguments[0])
            guess = _approximate(builder, "rcp.approx.ftz.f32", arguments[0])
            negative = builder.fsub(ir.Constant(arguments[0].type, -0.0), arguments[0])
            error = builder.fma(negative, guess, one)
            return builder.fma(error, guess, guess)

        return value(value), codegen
