"""The call site as text: layouts that are the same code, and what stays as it was."""

import ast

import pytest

from matrix.prepare.change.call_site import switch_call_site
from tests.prepare.change.miniature import INVERSION_UTIL

NUMPY_BRANCH = INVERSION_UTIL[INVERSION_UTIL.index("    # The   branch") :]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('.startswith("jax")', ".startswith('jax')"),
        (
            "        import jaxnnls\n        from autoconf import conf\n",
            "        from autoconf import conf\n        import jaxnnls\n",
        ),
        ("scale", "use_jacobi"),
        ("    settings = None,\n    xp=numpy_like,\n):", "    settings = None, xp=numpy_like):"),
        ("    xp=numpy_like,\n", "    xp=numpy_like\n"),
        ("            # A comment in the branch.\n", ""),
        ('    """\n    Solves with the algorithm of Bro & Jong, whichever the backend.\n    """\n', ""),
    ],
)
def test_layout_and_names_of_locals_do_not_matter(old: str, new: str) -> None:
    assert old in INVERSION_UTIL

    switched = switch_call_site(INVERSION_UTIL.replace(old, new))

    function = _function(switched)
    assert [argument.arg for argument in function.args.args] == [
        "data_vector",
        "curvature_reg_matrix",
        "settings",
        "xp",
        "dense_columns",
    ]
    assert ast.unparse(function.args.defaults[-1]) == "None"
    assert "autoarray.inversion import nnls" in switched
    assert switched.endswith(NUMPY_BRANCH)
    assert switch_call_site(switched) == switched


def test_the_config_package_keeps_the_name_the_library_uses() -> None:
    switched = switch_call_site(INVERSION_UTIL.replace("from autoconf import", "from autonerves import"))

    assert "from autonerves import conf" in switched
    assert "autoconf" not in switched


def test_the_docstring_tells_the_two_branches_apart() -> None:
    docstring = ast.get_docstring(_function(switch_call_site(INVERSION_UTIL)))

    assert docstring is not None
    numpy, jax = docstring.split("- JAX (`xp=jnp`)")
    assert "Bro & Jong" in numpy
    assert "Bro & Jong" not in jax
    assert "autoarray.inversion.nnls" in jax


def _function(source: str) -> ast.FunctionDef:
    return next(
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == "reconstruction_positive_only_from"
    )
