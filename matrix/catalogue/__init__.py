"""What there is to run, as data: pipelines and checks."""
