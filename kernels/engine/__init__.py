"""What makes the gradients fast: compiled code, micro-kernels, one pass over X, threads.

Nothing here imports from the rest of the package.
"""
