"""The site of the documentation, made of its Markdown by Sphinx."""

project = "NNLS validation matrix"
author = "the NNLS validation matrix authors"
copyright = f"2026, {author}"

extensions = ["myst_parser", "sphinx_copybutton"]
html_theme = "furo"
html_title = project
exclude_patterns = ["_build"]
# Links to headings, by the names that GitHub gives them.
myst_heading_anchors = 4
# Languages of code that are none: commands are marked sh.
suppress_warnings = ["misc.highlighting_failure"]
