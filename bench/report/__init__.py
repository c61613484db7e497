"""What makes a report of what was measured.

intervals      what several passes allow one to say
results        from timings to the JSON, from the JSON to ratios, noise, verdicts
claims, figures, page, readme   the report in words, pictures, HTML, Markdown
compare        two reports side by side
"""
