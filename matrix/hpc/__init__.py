"""The matrix on a Slurm cluster: what leaves this machine, what comes back, and what became of the jobs."""
