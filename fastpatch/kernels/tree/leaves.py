"""Sums over leaves and nodes for a block of sites at once, in registers: what takes nearly all of the time."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

__all__ = ["BLOCK", "add_product", "gather_leaves"]

# Sites a block: four registers of eight float32 lanes, so that a leaf's entry and weight are loaded once for 32 sites,
# while the table of two rows of five pixels (128 kB) stays in the second-level cache.
BLOCK = 32


class _Block:
    """LLVM's words for vectors of BLOCK values of one precision."""

    def __init__(self, context, builder, kind):
        self._context, self._builder, self._kind = context, builder, kind
        self.vector = ir.VectorType(context.get_value_type(kind.dtype), BLOCK)
        self._bytes = kind.dtype.bitwidth // 8
        function = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fma.v{BLOCK}f{kind.dtype.bitwidth}"
        # llvmlite's own fma takes scalars only.
        self._fused = cgutils.get_or_insert_function(builder.module, function, name)

    def data(self, array):
        return make_array(self._kind)(self._context, self._builder, array).data

    def _at(self, data, entry):
        start = self._builder.gep(data, [self._builder.mul(entry, ir.Constant(ir.IntType(64), BLOCK))])
        return self._builder.bitcast(start, self.vector.as_pointer())

    def load(self, data, entry):
        """The block's values in row ``entry`` of a table."""
        return self._builder.load(self._at(data, entry), align=self._bytes)

    def store(self, value, data, entry):
        self._builder.store(value, self._at(data, entry), align=self._bytes)

    def fma(self, a, b, c):
        return self._builder.call(self._fused, [a, b, c])

    def splat(self, scalar):
        nothing = ir.Constant(self.vector, ir.Undefined)
        one = self._builder.insert_element(nothing, scalar, ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK)
        return self._builder.shuffle_vector(one, nothing, lanes)


class _Leaves:
    """The lists of leaves: entries of one table or two, and weights."""

    def __init__(self, context, builder, signature, entries, weights):
        self._builder = builder
        lists, kinds = cgutils.unpack_tuple(builder, entries), signature.args[1]
        self._entries = [make_array(kinds[p])(context, builder, lists[p]).data for p in range(len(lists))]
        self._weights = make_array(signature.args[2])(context, builder, weights).data

    def weight(self, k):
        return self._builder.load(self._builder.gep(self._weights, [k]))

    def entries(self, k):
        loaded = (self._builder.load(self._builder.gep(data, [k])) for data in self._entries)
        return [self._builder.zext(entry, ir.IntType(64)) for entry in loaded]


@intrinsic
def gather_leaves(typing_context, tables, entries, weights, begin, end, out, at):
    """``out[at] = sum_k weights[k] tables[0][entries[0][k]] ...`` over begin <= k < end, rows of BLOCK values.

    ``tables`` and ``entries`` are tuples of one array or two; of two, the product of both rows counts.
    """

    def codegen(context, builder, signature, arguments):
        block = _Block(context, builder, out)
        leaves = _Leaves(context, builder, signature, arguments[1], arguments[2])
        data = [block.data(table) for table in cgutils.unpack_tuple(builder, arguments[0])]
        # Two chains of additions hide the latency of a lone multiply-add; the product of two rows hides it by itself.
        chains = 2 if len(data) == 1 else 1
        sums = [cgutils.alloca_once_value(builder, ir.Constant(block.vector, None)) for _ in range(chains)]

        def fold(k, into):
            value = block.splat(leaves.weight(k))
            *others, last = [block.load(table, entry) for table, entry in zip(data, leaves.entries(k), strict=True)]
            for row in others:
                value = builder.fmul(value, row)
            builder.store(block.fma(value, last, builder.load(into)), into)

        i64 = ir.IntType(64)
        count = builder.sub(arguments[4], arguments[3])
        whole = builder.sub(count, builder.urem(count, ir.Constant(i64, chains)))
        with cgutils.for_range_slice(builder, ir.Constant(i64, 0), whole, ir.Constant(i64, chains)) as (n, _):
            for j, into in enumerate(sums):
                fold(builder.add(builder.add(arguments[3], n), ir.Constant(i64, j)), into)
        with cgutils.for_range_slice(builder, whole, count, ir.Constant(i64, 1)) as (n, _):
            fold(builder.add(arguments[3], n), sums[0])
        total = builder.load(sums[0])
        for chain in sums[1:]:
            total = builder.fadd(total, builder.load(chain))
        block.store(total, block.data(arguments[5]), arguments[6])
        return context.get_dummy_value()

    return types.void(tables, entries, weights, types.int64, types.int64, out, types.int64), codegen


@intrinsic
def add_product(typing_context, out, at, a, at_a, b, at_b):
    """``out[at] += a[at_a] b[at_b]``, rows of BLOCK values of one precision, which may not overlap.

    Written as a loop over lanes it is compiled one lane at a time: arrays might overlap.
    """

    def codegen(context, builder, signature, arguments):
        block = _Block(context, builder, out)
        target, first, second = (
            make_array(kind)(context, builder, array).data
            for kind, array in zip(signature.args[::2], arguments[::2], strict=True)
        )
        product = block.fma(
            block.load(first, arguments[3]), block.load(second, arguments[5]), block.load(target, arguments[1])
        )
        block.store(product, target, arguments[1])
        return context.get_dummy_value()

    return types.void(out, types.int64, a, types.int64, b, types.int64), codegen
