"""Copies of blocks of a matrix, in the order in which a product reads them.

The rows of a block of a large matrix lie in as many pages; those of its copy do not. A matrix is a
tuple of its address and its strides in bytes, as in gemm.py.
"""

from numba import types
from numba.extending import intrinsic, register_jitable

from .jit import device_function
from .vectors import VECTOR_BYTES, VectorBuilder, address, itemsize, keep_out_of_line

NR = 4 if VECTOR_BYTES == 64 else 2  # vectors of a row of a panel
PANEL_ROW_BYTES = NR * VECTOR_BYTES
ROWS_AHEAD = 8  # which are prefetched while a row is copied

_INTP = types.intp
_PAIR, _TRIPLE = types.UniTuple(_INTP, 2), types.UniTuple(_INTP, 3)


@register_jitable
def padded(n):
    """Return the length of a row of C for n elements: whole blocks of both products and dtypes.

    It is an odd multiple of 16, because rows a page apart would collide in a few cache sets.
    """
    return ((n + 15) // 16 | 1) * 16


@device_function
def carve(memory, start, rows, width):
    """Return rows of this width from the memory, and where the next ones start."""
    stop = start + rows * width
    return memory[start:stop].reshape(rows, width), stop


def copy_microkernel(gathered):
    """Return the micro-kernel that copies `shape` = (columns, rows) of A into B in panels.

    Rows of A are contiguous. A panel has NR vectors of each row. B is (address, row_stride,
    panel_stride); the panels of a row are contiguous if the latter is PANEL_ROW_BYTES. Each row is
    read whole, since rows of one panel alone are all in different pages. With `gathered`, A is
    followed by the address of the numbers of its rows.
    """

    @intrinsic
    def microkernel(typingctx, zero, A, shape, B):
        def generate(context, builder, signature, args):
            v = VectorBuilder(builder, zero)
            (A, lda, *numbers), (width, k), (B, ldb, step) = (v.unpack(m) for m in args[1:4])
            columns = NR * v.lanes  # of a panel
            whole = builder.sdiv(width, v.intp(columns))
            left = builder.sub(width, builder.mul(whole, v.intp(columns)))
            full = builder.and_(left, v.intp(-v.lanes))
            mask = v.mask(builder.sub(left, full))

            def row_offset(i):
                for place in numbers:
                    pointer = builder.inttoptr(place, v.int.as_pointer())
                    i = builder.load(builder.gep(pointer, [i]))
                return builder.mul(i, lda)

            def copy_row(i, _):
                row, copy = row_offset(i), builder.add(B, builder.mul(i, ldb))
                # The hardware foresees no jump to a row.
                later = builder.add(i, v.intp(ROWS_AHEAD))
                there = builder.icmp_signed("<", later, k)
                ahead = builder.sub(row_offset(builder.select(there, later, i)), row)

                def ends(panel):
                    start = builder.mul(panel, v.intp(PANEL_ROW_BYTES))
                    return v.pointer(A, row, start), v.pointer(copy, builder.mul(panel, step))

                def copy_vector(source, copy, j):
                    if gathered:
                        v.prefetch(builder.gep(source, [j]), ahead)
                    v.store(v.load(source, j), builder.gep(copy, [j]))
                    return []

                def copy_panel(panel, _):
                    source, copy = ends(panel)
                    if not gathered:
                        v.prefetch(source, ahead)
                    for u in range(NR):
                        copy_vector(source, copy, v.intp(u * v.lanes))
                    return []

                v.loop(whole, 1, [], copy_panel)
                source, copy = ends(whole)
                v.loop(full, v.lanes, [], lambda j, _: copy_vector(source, copy, j))
                with builder.if_then(builder.icmp_signed("<", full, left)):
                    v.store(v.masked_load(source, mask, full), builder.gep(copy, [full]))
                return []

            v.loop(k, 1, [], copy_row)
            return context.get_dummy_value()

        return types.void(zero, _TRIPLE if gathered else _PAIR, _PAIR, _TRIPLE), generate

    return microkernel


copy_rows, _gather_rows = copy_microkernel(False), copy_microkernel(True)


@intrinsic
def _copy_transposed(typingctx, zero, A, shape, B):
    """Copy `shape` = (columns, rows) of A, which has a column_stride, column by column."""

    def generate(context, builder, signature, args):
        v = VectorBuilder(builder, zero)
        (A, lda, step), (width, k), (B, ldb) = (v.unpack(matrix) for matrix in args[1:4])

        def copy_column(j, _):
            source = builder.add(A, builder.mul(j, step))
            copy = builder.add(B, builder.mul(j, v.intp(v.size)))

            def copy_number(i, _):
                number = builder.load(v.pointer(source, builder.mul(i, lda)), align=v.size)
                builder.store(number, v.pointer(copy, builder.mul(i, ldb)), align=v.size)
                return []

            v.loop(k, 1, [], copy_number)
            return []

        v.loop(width, 1, [], copy_column)
        return context.get_dummy_value()

    return types.void(zero, _TRIPLE, _PAIR, _PAIR), generate


@device_function
def copy_block(zero, A, rows, shape, B):
    """Copy `shape` = (columns, rows) of A to the address B; return the strides of the copy.

    A is (address, row_stride, column_stride); `rows` has the numbers of its rows to copy, or is
    empty, for consecutive rows. What is contiguous in A remains so, and is padded to whole vectors;
    B has room for `numbers_of_block`.
    """
    keep_out_of_line()
    (A, lda, step), (width, k), size = A, shape, itemsize(zero)
    if lda == size != step and rows.size == 0:
        ldb = padded(k) * size
        copy_rows(zero, (A, step), (k, width), (B, ldb, PANEL_ROW_BYTES))
        return size, ldb
    ldb = padded(width) * size
    if step == size or width == 1:
        if rows.size > 0:
            _gather_rows(zero, (A, lda, address(rows)), shape, (B, ldb, PANEL_ROW_BYTES))
        else:
            copy_rows(zero, (A, lda), shape, (B, ldb, PANEL_ROW_BYTES))
        return ldb, size
    for r in range(k if rows.size > 0 else 1):
        a = A + rows[r] * lda if rows.size > 0 else A
        block = width, 1 if rows.size > 0 else k
        _copy_transposed(zero, (a, lda, step), block, (B + r * ldb, ldb))
    return ldb, size


@device_function
def numbers_of_block(width, k):
    """Return how many numbers a copy of (k, width) has room for, in either order."""
    return max(k * padded(width), width * padded(k))
