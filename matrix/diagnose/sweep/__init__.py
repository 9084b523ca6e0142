"""Solver settings through the whole likelihood."""
