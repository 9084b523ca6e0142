"""What every diagnosis of a likelihood shares: a process in the environment of a side, and its record."""
