"""The NNLS systems that likelihoods solve, as files that solvers can be measured on."""
