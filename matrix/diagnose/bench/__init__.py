"""The solver against others, by system, size and batch, and the factorisations it consists of."""
