"""The library's own packaging files are read, not only what is installed."""

from pathlib import Path

import pytest

from matrix.checks.declared import declaration


@pytest.mark.parametrize(
    ("name", "text", "outcome"),
    [
        ("pyproject.toml", '[project]\ndependencies = ["jaxnnls==1.0.1"]\n', "failed"),
        ("requirements.txt", "numpy\nJAXNNLS\n", "failed"),
        ("setup.py", "setup(extras_require={'jax': ['jaxnnls']})\n", "failed"),
        ("pyproject.toml", '[project]\ndependencies = ["numpy"]  # no jaxnnls\n', "passed"),
        ("requirements.txt", "jaxnnls_like\n", "passed"),
        ("README.md", "jaxnnls\n", "passed"),
    ],
)
def test_requirement_is_found_in_every_kind_of_file(
    tmp_path: Path, name: str, text: str, outcome: str
) -> None:
    (tmp_path / name).write_text(text)
    found = declaration(tmp_path)
    assert found.outcome == outcome
    assert (f"{name}:" in found.message) == (outcome == "failed")
