"""The functions on Tensors, by family; `graphc` exports them all."""
