"""The benchmark: `problems` is the table of what is measured, `bench_kernels` measures, `report` prints."""
