"""The algorithms of the solver, jaxnnls, ADMM and FISTA over their parameters, by four criteria."""
