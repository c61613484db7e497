"""The benchmark: `problems` is the table of what is measured, `peers` the same job elsewhere, `python -m bench` the report of it.

plan        which cells and contestants, in which order         run      pass by pass, in processes of their own: `worker`
bench_kernels  one timing, by pytest-benchmark                  agreement, machine   is it right; what was it measured on
intervals   what several passes allow to say                    results  from timings to JSON to ratios, noise, verdicts
claims, figures, page, readme   the report                      compare  two reports
"""
