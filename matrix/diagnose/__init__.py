"""Tools that look closer at one question, a folder each; `session.py` is what the nox session runs."""
