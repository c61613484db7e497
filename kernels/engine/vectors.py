"""SIMD vectors in LLVM IR (`VectorBuilder`), addresses of arrays, and a hint to the compiler.

Numba has no vector type, so the micro-kernels emit LLVM IR themselves. Addresses are of type intp;
an array must be kept alive while its address is in use.
"""

import os

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .cache import host_features
from .jit import device_function

_WIDEST = 64 if "+avx512f" in host_features() else 32 if "+avx2" in host_features() else 16
VECTOR_BYTES = int(os.environ.get("KERNELS_VECTOR_BYTES", _WIDEST))
LINE_BYTES = 64  # of the caches
LONG_ROW_BYTES = 512  # from where on each row is a stream of its own to the hardware prefetcher
STARTED_LINES = 4  # of a row, after which the hardware prefetches the others
NO_PREFETCH = np.intp(0)  # a prefetch_distance; a literal 0 would compile a product once more


class VectorBuilder:
    """A builder of LLVM vector instructions for one float type; indices and offsets are intp."""

    def __init__(self, builder, real):
        self.builder = builder
        self.size = real.bitwidth // 8
        self.lanes = VECTOR_BYTES // self.size
        self.scalar = ir.FloatType() if self.size == 4 else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.int = ir.IntType(types.intp.bitwidth)
        self.suffix = f"v{self.lanes}f{real.bitwidth}"

    # ---- constants and tuples ----

    def intp(self, n):
        return ir.Constant(self.int, n)

    def i32(self, n):
        return ir.Constant(ir.IntType(32), n)

    def zero(self):
        return ir.Constant(self.vector, [0.0] * self.lanes)

    def unpack(self, values):
        """Return the elements of a Numba UniTuple."""
        return [self.builder.extract_value(values, i) for i in range(values.type.count)]

    # ---- memory ----

    def pointer(self, address, *offsets):
        """Return a pointer to the number at an address plus offsets in bytes."""
        for offset in offsets:
            address = self.builder.add(address, offset)
        return self.builder.inttoptr(address, self.scalar.as_pointer())

    def vector_pointer(self, pointer, j=None):
        pointer = pointer if j is None else self.builder.gep(pointer, [j])
        return self.builder.bitcast(pointer, self.vector.as_pointer())

    def load(self, pointer, j=None):
        return self.builder.load(self.vector_pointer(pointer, j), align=self.size)

    def store(self, value, pointer):
        self.builder.store(value, self.vector_pointer(pointer), align=self.size)

    def mask(self, count):
        """Return a mask that is true in the first `count` lanes."""
        lanes = ir.Constant(ir.VectorType(self.int, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", lanes, self.splat(count))

    def masked_load(self, pointer, mask, j=None):
        """Load the lanes where the mask is true; the others are zero and access no memory."""
        operands = [self.vector_pointer(pointer, j), self.i32(self.size), mask, self.zero()]
        return self.call(f"llvm.masked.load.{self.suffix}.p0", self.vector, operands)

    def prefetch(self, pointer, offset):
        """Prefetch the cache line at `offset` bytes from the pointer into L2; never faults."""
        byte = self.builder.bitcast(pointer, ir.IntType(8).as_pointer())
        read, locality, data = self.i32(0), self.i32(2), self.i32(1)
        operands = [self.builder.gep(byte, [offset]), read, locality, data]
        self.call("llvm.prefetch.p0", ir.VoidType(), operands)

    def prefetch_starts(self, rows, stride):
        """Prefetch the first cache lines of as many rows after these, if rows are long."""
        long = self.builder.icmp_signed(">=", stride, self.intp(LONG_ROW_BYTES))
        distance = self.builder.mul(stride, self.intp(len(rows)))
        with self.builder.if_then(long):
            for row in rows:
                for line in range(STARTED_LINES):
                    self.prefetch(row, self.builder.add(distance, self.intp(64 * line)))

    # ---- arithmetic ----

    def call(self, name, result, operands):
        """Call an LLVM intrinsic, and declare it if the module has not yet."""
        module = self.builder.module
        if name not in module.globals:
            ir.Function(module, ir.FunctionType(result, [o.type for o in operands]), name)
        return self.builder.call(module.globals[name], operands)

    def multiply_add(self, a, b, c):
        """Return a * b + c, in one instruction of every processor that has one."""
        return self.call(f"llvm.fmuladd.{self.suffix}", self.vector, [a, b, c])

    def splat(self, value):
        """Return a vector with `value` in every lane."""
        undefined = ir.Constant(ir.VectorType(value.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, value, self.i32(0))
        return self.shuffle(first, first, [0] * self.lanes)

    def add_groups(self, values, count):
        """Return the elementwise sum of groups of `count` values, whose number is a power of 2."""
        while len(values) > count:
            half = len(values) // 2
            pairs = zip(values[:half], values[half:], strict=True)
            values = [self.builder.fadd(a, b) for a, b in pairs]
        return values

    def shuffle(self, a, b, lanes):
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
        return self.builder.shuffle_vector(a, b, lanes)

    def horizontal_sums(self, vectors):
        """Return a vector of the sums of the vectors; each addition reduces two vectors at once."""
        segment = self.lanes
        while segment > 1:
            half, width = segment // 2, vectors[0].type.count
            low = [lane for lane in range(width) if lane % segment < half]
            pairs = [(vectors[0], vectors[0])]
            if len(vectors) > 1:
                low += [lane + width for lane in low]
                pairs = list(zip(vectors[::2], vectors[1::2], strict=True))
            high = [lane + half for lane in low]
            vectors = [
                self.builder.fadd(self.shuffle(a, b, low), self.shuffle(a, b, high))
                for a, b in pairs
            ]
            segment = half
        while len(vectors) > 1:  # more vectors than lanes are concatenated
            both = list(range(2 * vectors[0].type.count))
            pairs = list(zip(vectors[::2], vectors[1::2], strict=True))
            vectors = [self.shuffle(a, b, both) for a, b in pairs]
        return vectors[0]

    # ---- control flow ----

    def loop(self, stop, step, carried, body, start=None):
        """Emit `for j in range(start or 0, stop, step): carried = body(j, carried)`."""
        builder = self.builder
        before, head = builder.block, builder.append_basic_block("loop.head")
        inside, after = (builder.append_basic_block(f"loop.{name}") for name in ("body", "end"))
        builder.branch(head)
        builder.position_at_end(head)
        j, values = builder.phi(self.int), [builder.phi(value.type) for value in carried]
        builder.cbranch(builder.icmp_signed("<", j, stop), inside, after)
        builder.position_at_end(inside)
        new = [*body(j, values), builder.add(j, self.intp(step))]
        for phi, first, later in zip(
            [*values, j], [*carried, start or self.intp(0)], new, strict=True
        ):
            phi.add_incoming(first, before)
            phi.add_incoming(later, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return values

    def conditional(self, condition, values, body):
        """Emit `body() if condition else values`."""
        builder, before = self.builder, self.builder.block
        with builder.if_then(condition):
            new, inside = body(), builder.block
        phis = [builder.phi(value.type) for value in values]
        for phi, old, value in zip(phis, values, new, strict=True):
            phi.add_incoming(old, before)
            phi.add_incoming(value, inside)
        return phis

    def switch(self, value, cases):
        """Emit `cases[value]()`, or nothing if `value` is not among the cases."""
        builder, after = self.builder, self.builder.append_basic_block("after")
        branch = builder.switch(value, after)
        for number, emit in cases.items():
            block = builder.append_basic_block("case")
            branch.add_case(self.intp(number), block)
            builder.position_at_end(block)
            emit()
            builder.branch(after)
        builder.position_at_end(after)


@device_function(forceinline=True)
def address(array):
    """Return the address of an array's first element, as intp.

    The address does not keep the array alive: Numba frees an array after its last use by name, so
    inside a loop take the address again where it is used.
    """
    return np.intp(array.ctypes.data)


@intrinsic(prefer_literal=True)
def stack_memory(typingctx, size):
    """Return the address of memory in the caller's frame, aligned to a cache line, as a pointer.

    It costs nothing, where a new array is an allocation. Use it with `carray` and a constant
    size, in the function whose call lasts as long as the array.
    """
    if not isinstance(size, types.IntegerLiteral):
        return None

    def generate(context, builder, signature, args):
        # As many bytes, and not an array of them, all of which Numba would set to zero.
        memory = cgutils.alloca_once(builder, ir.IntType(8), size.literal_value)
        memory.align = LINE_BYTES
        return builder.bitcast(memory, cgutils.voidptr_t)

    return types.voidptr(size), generate


@intrinsic
def itemsize(typingctx, x):
    """Return the itemsize of a number's type, as a constant of type intp."""

    def generate(context, builder, signature, args):
        return ir.Constant(ir.IntType(types.intp.bitwidth), x.bitwidth // 8)

    return types.intp(x), generate


@intrinsic
def keep_out_of_line(typingctx):
    """Prevent inlining of the calling function, with all its micro-kernels, into each caller."""

    def generate(context, builder, signature, args):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate
