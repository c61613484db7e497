"""The benchmark; `python -m bench` measures and writes the report.

problems       the table: problems, data sets, sizes
bare_numpy     the baseline of all ratios, frozen
draw           random shapes in place of the table
peers          loss and gradient in other libraries
bench_kernels  one timing, by pytest-benchmark
measure/       runs the timings in several passes
report/        statistics, tables, figures and the HTML page
"""
