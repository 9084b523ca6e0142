"""Tests of the solver package: exactness, robustness, gradients, compiled programs."""
