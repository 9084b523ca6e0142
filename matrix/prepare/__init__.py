"""From the manifest to two sides that one can run, and the plan of a run."""
