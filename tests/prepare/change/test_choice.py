"""Where callers choose the solver: a third value, additive, then the default, then no need of jaxnnls."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path

import pytest

from matrix.ground.yaml_text import parse_yaml
from matrix.prepare.change import UnrecognisedError, plan_vendoring, vendor_library, write_step
from tests.prepare.change.miniature import snapshot, write
from tests.prepare.change.miniature_choice import MODULES, TESTS, make_choice, make_stack

UTIL = "autoarray/inversion/inversion/inversion_util.py"
ABSTRACT = "autoarray/inversion/inversion/abstract.py"
SETTINGS = "autoarray/settings.py"
GENERAL = "autoarray/config/general.yaml"
DRIVER = "autoarray/util/jax_nnls.py"
CONFTEST = "test_autoarray/conftest.py"


@pytest.fixture
def choice(tmp_path: Path) -> Path:
    return make_choice(tmp_path / "choice")


def test_second_run_changes_no_byte(choice: Path, solver: Path) -> None:
    assert not vendor_library(choice, solver).already_vendored
    before = snapshot(choice)

    assert vendor_library(choice, solver).already_vendored
    assert snapshot(choice) == before


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_edits_are_additive(tmp_path: Path, solver: Path, newline: str) -> None:
    library = make_choice(tmp_path / "other", newline)
    before = snapshot(library)

    report = vendor_library(library, solver)

    after = snapshot(library)
    gone = {}
    for name in report.changed:
        old, new = (tree[name].decode().splitlines(keepends=True) for tree in (before, after))
        assert {line[len(line.rstrip("\r\n")) :] for line in new} <= {newline, ""}, name
        lines = list(unified_diff(old, new, n=0))[2:]
        gone[name] = [line[1:].strip() for line in lines if line.startswith("-")]
    held = 'if {} not in ("pdip", "certified"):'
    assert gone[UTIL] == [
        held.format("solver"),
        "raise ValueError(f\"solver={solver!r}; expected 'pdip' or 'certified'.\")",
        'raise ValueError("raw is of pdip; the certified solver always runs on the scaled system")',
    ]
    assert gone[ABSTRACT] == ['The solver that is used; the packaged default is ``"pdip"``.']
    assert gone[DRIVER] == []
    assert gone[CONFTEST] == []
    assert gone[GENERAL] == [line.strip() for line in MODULES[GENERAL].splitlines()[3:6]]
    assert gone[SETTINGS] == [
        'value ``"pdip"``.',
        '- ``"pdip"`` (default) - the interior-point solve (jaxnnls).',
        'value = self._inversion_config_value("positive_only_solver", "pdip")',
        held.format("value"),
        "f\"positive_only_solver={value!r} is invalid; expected 'pdip' or 'certified'.\"",
    ]


def test_documentation_says_what_the_third_value_is(choice: Path, solver: Path) -> None:
    vendor_library(choice, solver)

    call, settings, used = (
        ast.get_docstring(_function(choice / name, *path)) or ""
        for name, path in (
            (UTIL, ("reconstruction_positive_only_from",)),
            (SETTINGS, ("Settings", "__init__")),
            (ABSTRACT, ("AbstractInversion", "positive_only_solver_used")),
        )
    )
    solver_said, stats_said = call.split("\nstats\n")
    assert '``"nnls"``' in solver_said
    assert solver_said.index("Two paragraphs") < solver_said.index('``"nnls"``')
    assert "``converged``" in stats_said.split("\nReturns\n")[0]
    said = settings.split("nnls_max_iter\n")[0]
    assert 'value ``"nnls"``' in said
    assert '- ``"nnls"`` (default)' in said
    assert '- ``"pdip"`` -' in said
    assert 'the packaged default is ``"nnls"``' in used
    assert "every inversion on the JAX backend" in used


def test_the_packaged_configuration(choice: Path, solver: Path) -> None:
    vendor_library(choice, solver, "schur")

    text = (choice / GENERAL).read_text()
    section = parse_yaml(text).value["inversion"]
    assert list(section)[2:4] == ["positive_only_solver", "nnls_algorithm"]
    assert section["positive_only_solver"] == "nnls"
    assert section["nnls_algorithm"] == "schur"
    line = next(line for line in text.splitlines() if "positive_only_solver:" in line)
    assert '"nnls" (default)' in line
    assert line.count("(default)") == 1
    assert "(#566)" in line
    assert vendor_library(choice, solver).already_vendored


PREFIXES = range(1, 5)


@pytest.mark.parametrize("steps", PREFIXES)
@pytest.mark.parametrize("with_jaxnnls", [True, False])
def test_every_prefix_of_the_series_imports_and_passes_its_tests(
    choice: Path, solver: Path, steps: int, with_jaxnnls: bool
) -> None:
    series = plan_vendoring(choice, solver)
    assert len(series) == len(PREFIXES)
    for step in series[:steps]:
        write_step(choice, step)
    make_stack(choice)
    # The library's tests of the solver need the library; those of the miniature say what they are about.
    shutil.rmtree(choice / TESTS / "nnls")
    if not with_jaxnnls:
        write(choice / "jaxnnls/__init__.py", 'raise ModuleNotFoundError("not here", name="jaxnnls")\n')

    done = _run(choice, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", "test_autoarray")

    if with_jaxnnls:
        assert done.returncode == 0, done.stdout
        assert "6 passed" in done.stdout
    elif steps == len(PREFIXES):
        assert done.returncode == 0, done.stdout
        assert "2 passed, 4 skipped" in done.stdout
        assert "needs jaxnnls" in done.stdout
    else:
        assert done.returncode == 1, done.stdout


@pytest.mark.parametrize("steps", PREFIXES)
def test_vendoring_completes_every_prefix_of_the_series(choice: Path, solver: Path, steps: int) -> None:
    series = plan_vendoring(choice, solver)
    for step in series[:steps]:
        write_step(choice, step)

    vendor_library(choice, solver)

    whole = snapshot(choice)
    shutil.rmtree(choice)
    make_choice(choice)
    vendor_library(choice, solver)
    assert snapshot(choice) == whole


CALL = """
import sys
from types import SimpleNamespace
{before}
from autoarray.inversion.inversion.abstract import AbstractInversion
from autoarray.inversion.inversion import inversion_util
from autoarray.inversion.mappers.abstract import Mapper
from autoarray.settings import Settings

jax, numpy = (SimpleNamespace(__name__=name) for name in ("jax.numpy", "numpy"))

def reconstruction(objs, xp=jax, edge=False, **options):
    settings = Settings(**options)
    settings.use_edge_zeroed_pixels = edge
    return AbstractInversion(objs, settings, xp).reconstruction

def fails(call, kind, *words):
    try:
        call()
    except kind as error:
        assert all(word in str(error) for word in words), error
    else:
        raise AssertionError("nothing was raised")

options = {{"algorithm": "auto", "max_iter": None, "solver_tol": None, "jacobi": True}}
ours = ("primal", 1e-11, options)
"""


def _check(library: Path, code: str, before: str = "sys.modules['jaxnnls'] = None") -> None:
    done = _run(library, "-c", CALL.format(before=before) + code)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def vendored(choice: Path, solver: Path) -> Path:
    vendor_library(choice, solver)
    return make_stack(choice)


def test_by_default_every_jax_inversion_is_ours_and_numpy_is_not(vendored: Path) -> None:
    _check(
        vendored,
        """
for objs in ([Mapper()], [object()], [object(), Mapper()], [Mapper(), Mapper()]):
    for edge in (False, True):
        assert reconstruction(objs, edge=edge) == ours
        assert reconstruction(objs, numpy, edge=edge) == "fnnls"
        inversion = AbstractInversion(objs, Settings(), jax)
        assert inversion.positive_only_solver_used == "nnls"
        assert inversion.positive_only_preconditioning_used == "jacobi"
        assert AbstractInversion(objs, Settings(), numpy).positive_only_solver_used == "pdip"
""",
    )


def test_the_others_are_chosen_as_before(vendored: Path) -> None:
    _check(
        vendored,
        """
assert reconstruction([Mapper()], positive_only_solver="pdip")[0] == "pdip"
assert reconstruction([Mapper()], positive_only_solver="pdip")[3] == 50
assert reconstruction([object()], positive_only_solver="certified")[0] == "pdip"
assert reconstruction([Mapper()], positive_only_solver="certified") == ("certified", 50)
""",
        before="",
    )


def test_without_jaxnnls_the_interior_point_solver_says_what_to_install(vendored: Path) -> None:
    _check(
        vendored,
        """
fails(lambda: reconstruction([Mapper()], positive_only_solver="pdip"),
      ModuleNotFoundError, "pip install jaxnnls==1.0.1", "set `positive_only_solver` to nnls")
""",
    )


def test_limits_of_a_fit_reach_the_solver_and_fifty_does_not(vendored: Path) -> None:
    _check(
        vendored,
        """
assert reconstruction([Mapper()], nnls_max_iter=7, nnls_solver_tol="1e-6") == (
    "primal", 1e-11, {**options, "max_iter": 7, "solver_tol": 1e-6})
assert reconstruction([Mapper()], nnls_max_iter=50)[2]["max_iter"] == 50
assert reconstruction([Mapper()])[2]["max_iter"] is None
solve = inversion_util.reconstruction_positive_only_from
assert solve(1, 2, xp=jax, solver="nnls") == ours
""",
    )


def test_arguments_are_cleared_ignored_and_refused_as_they_were(vendored: Path) -> None:
    _check(
        vendored,
        """
factor = {"left": "over"}
solve = inversion_util.reconstruction_positive_only_from
assert solve(1, 2, xp=jax, solver="nnls", factor=factor, fingerprint="mesh") == ours
assert factor == {}
fails(lambda: solve(1, 2, xp=jax, solver="simplex"), ValueError, "'pdip', 'certified' or 'nnls'")
fails(lambda: solve(1, 2, xp=jax, solver="nnls", preconditioning="raw"), ValueError, "other solvers run on")
fails(lambda: solve(1, 2, xp=jax, preconditioning="diagonal"), ValueError)
fails(lambda: Settings("simplex").positive_only_solver, ValueError, "'pdip', 'certified' or 'nnls'")
""",
    )


def test_a_configuration_without_the_keys_has_the_same_values(vendored: Path) -> None:
    write(vendored / GENERAL, "inversion:\n  other: true\n")

    _check(vendored, "assert reconstruction([Mapper()]) == ours\n")


def test_the_configuration_reaches_the_solver(vendored: Path) -> None:
    text = (vendored / GENERAL).read_text()
    text = text.replace("preconditioning: true", "preconditioning: false").replace("1.0e-11", "1.0e-6")
    write(vendored / GENERAL, text.replace("nnls_algorithm: auto", "nnls_algorithm: schur"))

    _check(
        vendored,
        """
assert reconstruction([Mapper()]) == ("primal", 1e-6, {**options, "algorithm": "schur", "jacobi": False})
""",
    )


def _replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(library: Path) -> None:
        text = (library / name).read_text()
        assert old in text
        write(library / name, text.replace(old, new))

    return edit


REFUSALS = {
    "other values": (SETTINGS, _replace(SETTINGS, '("pdip", "certified")', '("pdip", "other")'), "other"),
    "values not held": (SETTINGS, _replace(SETTINGS, "value not in", "value in"), "nothing"),
    "other default": (SETTINGS, _replace(SETTINGS, '_solver", "pdip")', '_solver", DEFAULT)'), "0 times"),
    "parameter added": (
        UTIL,
        _replace(UTIL, "    stats=None,\n", "    stats=None,\n    more=None,\n"),
        "more",
    ),
    "factor not cleared": (UTIL, _replace(UTIL, "factor.clear()", "pass"), "`factor`"),
    "not refused": (UTIL, _replace(UTIL, 'raise ValueError("preconditioning")', "pass"), "three kinds"),
    "other solvers": (UTIL, _replace(UTIL, '("pdip", "certified")', '("pdip", "third")'), "third"),
    "no JAX branch": (UTIL, _replace(UTIL, 'startswith("jax")', 'startswith("torch")'), "0 branches"),
    "no configuration": (UTIL, _replace(UTIL, "from autonerves import conf", "conf = 0"), "import `conf`"),
    "other NumPy branch": (UTIL, _replace(UTIL, "fnnls_cholesky", "other"), "fnnls_cholesky"),
    "third answer": (ABSTRACT, _replace(ABSTRACT, 'return "certified"', 'return "third"'), "third"),
    "backend not asked": (ABSTRACT, _replace(ABSTRACT, "not self.use_jax", "self.other"), "use_jax"),
    "scaling otherwise": (
        ABSTRACT,
        _replace(ABSTRACT, '_used != "pdip"', '_used == "certified"'),
        "another than",
    ),
    "solver not asked": (
        ABSTRACT,
        _replace(ABSTRACT, "solver = self.positive_only_solver_used", 'solver = "pdip"'),
        "solver='pdip'",
    ),
    "other keyword": (ABSTRACT, _replace(ABSTRACT, "factor=factor,", "factor=factor, more=1,"), "more"),
    "other restriction": (
        ABSTRACT,
        _replace(ABSTRACT, "ids_to_keep = self.solve_ids_to_keep", "ids_to_keep = self.kept"),
        "self.kept",
    ),
    "no key": (GENERAL, _replace(GENERAL, "positive_only_solver", "solver"), "no key `positive_only_solver`"),
    "driver imports it at once": (
        DRIVER,
        _replace(DRIVER, "LIMIT = 50", "from jaxnnls import LIMIT"),
        "outside its functions",
    ),
    "driver without it": (DRIVER, _replace(DRIVER, "jaxnnls", "other"), "does not import jaxnnls"),
    "hooks of the same name": (
        CONFTEST,
        _replace(CONFTEST, "import os\n", "import os\n\n\ndef pytest_runtest_call(item):\n    pass\n"),
        "pytest_runtest_call",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_unknown_code_is_refused_and_nothing_changes(choice: Path, solver: Path, case: str) -> None:
    where, edit, what = REFUSALS[case]
    edit(choice)
    before = snapshot(choice)

    with pytest.raises(UnrecognisedError) as refusal:
        vendor_library(choice, solver)

    assert snapshot(choice) == before
    assert f"{where}:\n" in str(refusal.value)
    assert what in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (UTIL, "int(max_iter)", "int(max_iter or 50)"),
        (UTIL, 'if solver == "nnls":', 'if solver == "nnls" and factor:'),
        (ABSTRACT, '== "nnls" and self.use_jax:', '== "nnls" and self.use_jax and self.has(cls=Mapper):'),
        (DRIVER, 'name="jaxnnls"', 'name="other"'),
    ],
)
def test_edited_after_vendoring_is_refused(choice: Path, solver: Path, name: str, old: str, new: str) -> None:
    vendor_library(choice, solver)
    _replace(name, old, new)(choice)
    before = snapshot(choice)

    with pytest.raises(UnrecognisedError, match="vendoring writes"):
        vendor_library(choice, solver)

    assert snapshot(choice) == before


def test_the_shapes_between_hear_which_releases_are_nearest(library: Path, solver: Path) -> None:
    _replace(UTIL, "import jaxnnls\n", "from autoarray.util.jax_nnls import solve_nnls_primal\n")(library)
    before = snapshot(library)

    with pytest.raises(UnrecognisedError, match=r"2026\.7\.9\.1 before and 2026\.9\.26\.1 after"):
        vendor_library(library, solver)

    assert snapshot(library) == before


def _function(path: Path, *names: str) -> ast.FunctionDef:
    node: ast.AST = ast.parse(path.read_text())
    for name in names:
        node = next(one for one in ast.iter_child_nodes(node) if getattr(one, "name", None) == name)
    assert isinstance(node, ast.FunctionDef)
    return node


def _run(library: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(library),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        [sys.executable, *words], cwd=library, env=environment, capture_output=True, text=True, check=False
    )
