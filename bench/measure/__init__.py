"""What measures.

plan         which cells and contestants, in which order
run, worker  pass by pass, each in a process of its own
agreement    is a result right, and how right
machine      what it was measured on, and what that could do
"""
