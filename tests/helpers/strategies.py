"""What hypothesis draws: shapes of batches and seeds."""

from hypothesis import settings
from hypothesis import strategies as st

shapes = st.tuples(st.integers(1, 40), st.integers(1, 12), st.integers(2, 6), st.integers(1, 7))
seeds = st.integers(0, 2**32 - 1)
examples = settings(max_examples=25, deadline=None)
