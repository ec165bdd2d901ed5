"""CPU kernels that correlate sign fields by comparing bits, 64 sites a word: exact integers, in a field's 32nd part."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..jit import entry, kernel
from .crew import claim

__all__ = ["ROWS", "WORD", "count_unequal", "pack_signs"]

WORD = 64

# Rows that are compared at all displacements before the next ones: with those below them they stay in the cache.
ROWS = 16

_U = np.uint64


def _word_intrinsic(builder, name, arguments):
    i64 = ir.IntType(64)
    function = builder.module.declare_intrinsic(name, [i64], ir.FunctionType(i64, [i64] * len(arguments)))
    return builder.call(function, arguments)


@intrinsic
def _population(typing_context, word):
    """Number of bits set."""

    def codegen(context, builder, signature, arguments):
        return _word_intrinsic(builder, "llvm.ctpop", arguments)

    return types.uint64(types.uint64), codegen


@intrinsic
def _shifted(typing_context, low, high, count):
    """The 64 bits that start at bit ``count`` of a word and its successor."""

    def codegen(context, builder, signature, arguments):
        low, high, count = arguments
        return _word_intrinsic(builder, "llvm.fshr", [high, low, count])

    return types.uint64(types.uint64, types.uint64, types.uint64), codegen


@entry()
def pack_signs(crew, field, signs):
    """Bit b of ``signs[i, w]`` (L1, W) is set where ``field`` (L1, L2) is negative at column (64 w + b) mod L2."""
    rows, columns = field.shape
    i = claim(crew)
    while i < rows:
        j = 0
        for w in range(signs.shape[1]):
            word = _U(0)
            for b in range(WORD):
                word |= _U(field[i, j] < 0) << _U(b)
                j = j + 1 if j + 1 < columns else 0
            signs[i, w] = word
        i = claim(crew)


@kernel()
def _unequal(signs, here, there, words, shift, mask):
    """Unequal bits between the words from ``here`` on and those from bit ``shift`` of ``there`` on; the last masked."""
    total = _U(0)
    for w in range(words - 1):
        total += _population(signs[_U(here + w)] ^ _shifted(signs[_U(there + w)], signs[_U(there + w + 1)], shift))
    here, there = here + words - 1, there + words - 1
    return total + _population((signs[_U(here)] ^ _shifted(signs[_U(there)], signs[_U(there + 1)], shift)) & mask)


@entry()
def count_unequal(crew, signs, rows, columns, displacements, counts):
    """Numbers of sites (rows, columns) whose sign differs from that of the site at a displacement, by sixteen rows.

    ``displacements`` (D, 2) are (a, b) with 0 <= a <= rows, of which ``signs`` hold |b| columns beyond the sites and a
    word more, and a rows beyond them, or none, which stands for the first ones again; ``counts`` is (ceil(rows / 16),
    D). Of sites that are but a part of a lattice, pairs with b < 0 are counted with the site on their left.
    """
    held, stride = signs.shape
    flat = signs.ravel()
    words = (columns + WORD - 1) // WORD
    mask = _U(0xFFFFFFFFFFFFFFFF) >> _U(WORD * words - columns)
    block = claim(crew)
    while block < counts.shape[0]:
        for d in range(displacements.shape[0]):
            a, b = displacements[d, 0], displacements[d, 1]
            skipped, shift = abs(b) // WORD, _U(abs(b) % WORD)
            total = _U(0)
            for i in range(block * ROWS, min((block + 1) * ROWS, rows)):
                below = i + a if i + a < held else i + a - held
                # The pair (i, j), (i + a, j - b) is the pair (i + a, j), (i, j + b) of another j.
                here, there = (i, below) if b >= 0 else (below, i)
                total += _unequal(flat, here * stride, there * stride + skipped, words, shift, mask)
            counts[block, d] = total
        block = claim(crew)
