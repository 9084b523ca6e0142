"""The NNLS validation matrix: baseline against candidate on the six likelihood pipelines."""
