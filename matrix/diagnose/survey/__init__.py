"""All algorithms of the solver and their parameters, by four criteria."""
