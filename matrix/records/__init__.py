"""Schemas of all that is written, and the words they share."""
