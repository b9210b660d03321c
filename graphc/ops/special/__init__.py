"""Special functions as operations: what compositions of others would compute slowly or with few digits."""

from graphc.ops.special import gamma, incomplete, normal, sinc

__all__ = ["gamma", "incomplete", "normal", "sinc"]
