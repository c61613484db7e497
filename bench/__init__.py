"""The benchmark; `python -m bench` measures and writes the report.

problems       the table of what is measured
bare_numpy     what everything is held against, frozen
peers          the same job in other libraries
bench_kernels  one timing, by pytest-benchmark
measure/       runs them, pass by pass
report/        says what came out
"""
