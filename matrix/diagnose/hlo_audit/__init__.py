"""Compiled programs read as text: what they consist of, and what of the gradient is in a likelihood."""
