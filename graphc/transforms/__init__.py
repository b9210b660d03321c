"""Transformations of graphs and functions: derivatives."""

from graphc.transforms.derivatives import gradients, pullback, pushforward

__all__ = ["gradients", "pullback", "pushforward"]
