"""The measurement.

plan         which cells and contestants are timed, in which order
run, worker  the passes, each family of a pass in its own process
progress     the progress bar
agreement    comparison of the results with a reference
machine      description of the machine, its bandwidth and its peak FLOP rate
"""
