"""The benchmark; `python -m bench` measures and writes the report.

problems       the table of what is measured
bare_numpy     what everything is held against, frozen
peers          the same job in other libraries
plan           which cells and contestants, in which order
run, worker    pass by pass, each in a process of its own
bench_kernels  one timing, by pytest-benchmark
agreement      is a result right, and how right
machine        what it was measured on, and what that could do
intervals      what several passes allow one to say
results        from timings to the JSON, from the JSON to ratios, noise, verdicts
claims, figures, page, readme   the report in words, pictures, HTML, Markdown
compare        two reports side by side
"""
