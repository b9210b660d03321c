"""What fusing is decided by: what may share loops (legality), and what it costs and saves (costs, profit)."""
