"""Special functions as operations: what compositions of others would compute slowly or with few digits."""

from graphc.ops.special import gamma, normal, sinc

__all__ = ["gamma", "normal", "sinc"]
