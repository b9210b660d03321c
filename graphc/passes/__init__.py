"""Graph -> Graph. One file a pass, named like its function and its golden test; none of them sees a loop.

    replace_empty      empty.py              arrays without elements are not computed
    canonicalize       canonicalize.py       one way to write each thing
    cse                cse.py                one node for each computation
    fold_constants     fold_constants.py     what depends on constants alone, computed now
    stabilize          stabilize.py          textbook formulas in the form that neither cancels nor overflows
    simplify           simplify.py           algebra; on whole arrays: rules/
    contraction_order  contraction_order.py  products in their cheapest order; contraction_path.py searches for it
    prune              prune.py              loops do and keep only what is read
    hoist              hoist.py              loops do step by step only what depends on the step before
    rematerialize      rematerialize.py      cheap values are computed again instead of kept
    materialize        materialize.py        results and whole operands get memory of their own
    fuse               fuse.py               which nodes become one kernel (Graph -> groups)

loop_parts.py takes scans apart; batching.py computes what a body computes for all steps at once.

Every pass leaves a valid graph (graphc.ir.verify), returns the same object when it changes nothing, changes nothing the
second time, works with unknown sizes and inside the bodies of loops, and walks iteratively. The order in which they run
is written once, in graphc/pipeline.py.
"""
