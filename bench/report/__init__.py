"""The report of a run.

intervals      medians and confidence intervals over passes
results        the JSON made of the timings; ratios, noise and verdicts made of the JSON
distribution   shares, geometric mean and quantiles of the ratios over random shapes
claims         summary sentences and the text of table cells
figures, page, readme   figures, HTML page, Markdown tables
compare        comparison of two reports
"""
