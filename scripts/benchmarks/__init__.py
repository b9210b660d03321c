"""Benchmarks of graphc beside its peers: see scripts/bench.

library.py     what programs are written with, and what a program is
programs/      the programs, by suite; graphs.py builds graphs of any size
peers/         how each library compiles and calls a program
worker.py      the process of one library; turns.py has the workers run in turn, and times them
startup.py     times of compilation and import, each in a process of its own; memory.py: memory of a step
machine.py     what machine this is, and what its arithmetic and memory reach
record.py      the JSON of results; targets.py, report.py, plots.py: what is made of it
"""
