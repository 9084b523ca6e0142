# mypy: ignore-errors
"""What vendoring puts first into `AbstractInversion.positive_only_solver_used`."""


def positive_only_solver_used(self) -> str:
    if self.settings.positive_only_solver == "nnls" and self.use_jax:
        return "nnls"

    raise NotImplementedError("the other answers are the library's own")
