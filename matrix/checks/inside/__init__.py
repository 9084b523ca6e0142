"""Checks that run inside a side, in its process and with its packages."""
