"""The products of a few samples with a W of two to twelve columns, which is read as it lies.

The rows of such a W are shorter than a vector, and transposing it would take longer than the
product. So a vector is filled with several rows of W, one after the other, and multiplied by one
with the sample's features, each as often as W has columns: a shuffle. With K columns the pattern
repeats after K vectors:

    lanes of K vectors of W         W[d, 0] W[d, 1] W[d, 2] W[d+1, 0] W[d+1, 1] ...
    lanes of features, shuffled     x[d]    x[d]    x[d]    x[d+1]    x[d+1]    ...

K vectors are a strip. `strip_scores` leaves the products of a sample in a strip, unsummed;
`sum_strips` sums them. `strip_gradient` takes the residuals of a sample repeated in a strip, as
`write_strips` writes them.
"""

from numba import types
from numba.extending import intrinsic

from .jit import device_function
from .vectors import VECTOR_BYTES, VectorBuilder

LEAST_COLUMNS, MOST_COLUMNS = 2, 12
SUMS = 24 if VECTOR_BYTES == 64 else 12  # vectors that are kept in registers
ROWS = 4  # samples read side by side, at most

_INTP = types.intp
_PAIR = types.UniTuple(_INTP, 2)


class Strips:
    """What the two micro-kernels share: a group of samples, read side by side, and their strips.

    `args` are those of the micro-kernels from the second on.
    """

    def __init__(self, v, args, columns):
        self.v, self.columns, self.rows = v, columns, min(ROWS, SUMS // columns)
        (self.A, self.lda), (self.N, self.D, _) = v.unpack(args[0]), v.unpack(args[3])
        self.W, self.B = v.pointer(args[1]), v.pointer(args[2])
        self.full = v.builder.and_(self.D, v.intp(-v.lanes))
        self.tail = v.builder.sub(self.D, self.full)

    def start(self, i):
        """Take the samples from i on; the last one takes the place of those that are missing."""
        v, builder = self.v, self.v.builder
        last, self.samples, self.strips = builder.sub(self.N, v.intp(1)), [], []
        for r in range(self.rows):
            row = builder.add(i, v.intp(r))
            strip = builder.gep(self.B, [builder.mul(row, v.intp(self.columns * v.lanes))])
            places = [builder.gep(strip, [v.intp(j * v.lanes)]) for j in range(self.columns)]
            self.strips.append(places)
            row = builder.select(builder.icmp_signed("<", row, last), row, last)
            self.samples.append(v.pointer(self.A, builder.mul(row, self.lda)))

    def features(self, d, masked):
        """Return a vector of each sample's features from d on."""
        v = self.v
        if masked:
            mask = v.mask(self.tail)
            return [v.masked_load(sample, mask, d) for sample in self.samples]
        return [v.load(sample, d) for sample in self.samples]

    def repeated(self, x, j):
        """Return the features that vector j of a strip is multiplied by."""
        lanes = range(j * self.v.lanes, (j + 1) * self.v.lanes)
        return self.v.shuffle(x, x, [lane // self.columns for lane in lanes])

    def of_W(self, d, j):
        """Return a pointer to vector j of the strip of W that begins with row d."""
        v, builder = self.v, self.v.builder
        numbers = builder.mul(d, v.intp(self.columns))
        return builder.gep(self.W, [builder.add(numbers, v.intp(j * v.lanes))])

    def mask_of_W(self, j):
        """Return a mask of what there is of vector j in the last strip of W."""
        v, builder = self.v, self.v.builder
        numbers = builder.mul(self.tail, v.intp(self.columns))
        return v.mask(builder.sub(numbers, v.intp(j * v.lanes)))

    def has_tail(self):
        return self.v.builder.icmp_signed(">", self.tail, self.v.intp(0))


def _emit_scores(strips):
    v = strips.v

    def group(i, _):
        strips.start(i)
        places = [place for strip in strips.strips for place in strip]

        def add(d, sums, masked=False):
            x, sums = strips.features(d, masked), list(sums)
            for j in range(strips.columns):
                w = strips.of_W(d, j)
                w = v.masked_load(w, strips.mask_of_W(j)) if masked else v.load(w)
                for r in range(strips.rows):
                    at = r * strips.columns + j
                    sums[at] = v.multiply_add(strips.repeated(x[r], j), w, sums[at])
            return sums

        sums = v.loop(strips.full, v.lanes, [v.load(place) for place in places], add)
        sums = v.conditional(strips.has_tail(), sums, lambda: add(strips.full, sums, masked=True))
        for total, place in zip(sums, places, strict=True):
            v.store(total, place)
        return []

    v.loop(strips.N, strips.rows, [], group)


def _emit_gradient(strips):
    v = strips.v

    def group(i, _):
        strips.start(i)

        def add(d, _=(), masked=False):
            x = strips.features(d, masked)
            for j in range(strips.columns):
                place = strips.of_W(d, j)
                total = v.load(place)
                for r in range(strips.rows):
                    residuals = v.load(strips.strips[r][j])
                    total = v.multiply_add(strips.repeated(x[r], j), residuals, total)
                v.store(total, place)
            return []

        v.loop(strips.full, v.lanes, [], add)
        with v.builder.if_then(strips.has_tail()):
            add(strips.full, masked=True)
        return []

    v.loop(strips.N, strips.rows, [], group)


def strip_microkernel(emit):
    """Return the micro-kernel that `emit` emits for each number of columns of W.

    A is (address, row_stride) of the samples, W and B are addresses, and shape = (samples,
    features, columns of W). The strips B are followed by zeros up to `numbers_of_strips`.
    """

    @intrinsic
    def microkernel(typingctx, zero, A, W, B, shape):
        def generate(context, builder, signature, args):
            v = VectorBuilder(builder, zero)
            cases = {
                columns: lambda columns=columns: emit(Strips(v, args[1:], columns))
                for columns in range(LEAST_COLUMNS, MOST_COLUMNS + 1)
            }
            v.switch(v.unpack(args[4])[2], cases)
            return context.get_dummy_value()

        return types.void(zero, _PAIR, _INTP, _INTP, types.UniTuple(_INTP, 3)), generate

    return microkernel


# B[i] += x[i] · W, unsummed, and W[d] += Σ_i x[i, d] B[i], where W has room for whole strips
strip_scores, strip_gradient = strip_microkernel(_emit_scores), strip_microkernel(_emit_gradient)


@device_function
def numbers_of_strips(N, K, size):
    """Return the length of the strips of N samples, with room for a whole group after the last."""
    return (N + ROWS - 1) * (K * VECTOR_BYTES // size)


@device_function
def sum_strips(scores, b, strips, S, N):
    """Write the sum of b[k] and of what is left in each row of `scores` to S[k, i]."""
    K, width = len(b), scores.shape[1] // (N + ROWS - 1)
    strips[:] = 0
    for block in range(len(scores)):
        for j in range(N * width):
            strips[j] += scores[block, j]
    for i in range(N):
        for k in range(K):
            S[k, i] = b[k]
        for j in range(i * width, (i + 1) * width, K):
            for k in range(K):
                S[k, i] += strips[j + k]


@device_function
def write_strips(S, N, strips):
    """Write the residuals S[k, i] of N samples as `strip_gradient` takes them."""
    K, width = len(S), len(strips) // (N + ROWS - 1)
    strips[N * width :] = 0
    for i in range(N):
        for j in range(i * width, (i + 1) * width, K):
            for k in range(K):
                strips[j + k] = S[k, i]
