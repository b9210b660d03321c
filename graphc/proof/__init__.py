"""Proof by example: rewrites and native code compared with the reference on the data of a call (`Options.verify`).

values.py     nodes evaluated by the reference, each once; values for the parameters of loops' bodies
tolerance.py  how far two computations of one value may be apart, and why
rewrites.py   each replacement of each pass, before against after
kernels.py    each kernel against its operations, and the program against a plan in which nothing shares memory
"""
