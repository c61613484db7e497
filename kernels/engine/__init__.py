"""The compiled engine: micro-kernels, one pass over X, threads, and a cache of machine code.

No module here imports from the rest of the package.
"""
