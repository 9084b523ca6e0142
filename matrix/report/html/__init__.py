"""`report.html`: one file to look at, offline, with a run's verdict, pictures, times and provenance."""

from matrix.report.html.page import write_html as write_html
