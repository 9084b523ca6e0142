"""A side may have other packages than the stack's, and packages built from a checkout."""

from pathlib import Path

import pytest

from matrix.ground.errors import UsageError
from matrix.ground.layout import Layout
from matrix.prepare.difference import moved_packages
from matrix.prepare.environments import recipe_for, side_environment, with_packages
from matrix.prepare.locks import pins
from tests.index import Index
from tests.prepare.made_up_stack import RELEASE, installed, source


def test_packages_of_one_side_move_and_the_rest_stays(index: Index, layout: Layout, library: Path) -> None:
    recipe = recipe_for(layout, RELEASE, "cpu")
    index.wheel("jax", "2.0", ["jaxlib==2.0"])
    index.wheel("jaxlib", "2.0")
    # Newer than what is kept, and of no concern to the change.
    index.wheel("numba", "2.0")
    other = with_packages(layout, recipe, ["jax==2.0"])
    assert moved_packages({"baseline": recipe, "candidate": other}) == {
        "jax": {"baseline": "1.0", "candidate": "2.0"},
        "jaxlib": {"baseline": "1.0", "candidate": "2.0"},
    }
    assert with_packages(layout, recipe, []) is recipe
    index.wheel("jaxlib", "2.0.1")
    assert with_packages(layout, recipe, ["jax==2.0"]).lock.key == other.lock.key
    made = [
        side_environment(layout, one, side, library, None, vendored=False)
        for side, one in (("baseline", recipe), ("candidate", other))
    ]
    assert installed(made[1]) == installed(made[0]) | {"jax": "2.0", "jaxlib": "2.0"}
    assert made[0].key != made[1].key
    # Nothing is vendored, so nothing is replaced.
    assert "jaxnnls" in installed(made[1])


def test_package_may_be_one_that_the_stack_does_not_admit(index: Index, layout: Layout) -> None:
    index.wheel("autolens", "2026.7.9.2", ["autoarray", "jax<2"])
    index.wheel("autoarray", "2026.7.9.2")
    index.wheel("jax", "2.0")
    recipe = recipe_for(layout, "2026.7.9.2", "cpu")
    found = {pin.name: pin.version for pin in pins(with_packages(layout, recipe, ["jax==2.0"]).lock.wheels)}
    assert found["jax"] == "2.0"
    assert found["autolens"] == "2026.7.9.2"


@pytest.mark.parametrize(
    ("package", "says"),
    [
        ("jaxx==1.0", r"the stack has none of that name\. Did you mean 'jax'"),
        ("jax==9.9", "no set of packages"),
    ],
)
@pytest.mark.usefixtures("index")
def test_package_that_cannot_be_had_is_wrong_use(layout: Layout, package: str, says: str) -> None:
    recipe = recipe_for(layout, RELEASE, "cpu")
    with pytest.raises(UsageError, match=says):
        with_packages(layout, recipe, [package])


@pytest.mark.usefixtures("index")
def test_other_packages_of_the_stack_are_built_from_their_checkouts(
    layout: Layout, library: Path, tmp_path: Path
) -> None:
    fit = tmp_path / "fit"
    fit.mkdir()
    for path, text in source("autofit", "3.0").items():
        (fit / path).write_text(text)
    recipe = recipe_for(layout, RELEASE, "cpu")
    keys = set()
    for text in ("one", "two"):
        (fit / "more.txt").write_text(text)
        made = side_environment(
            layout, recipe, "candidate", library, None, others={"autofit": fit}, vendored=False
        )
        keys.add(made.key)
    assert installed(made)["autofit"] == "3.0"
    plain = side_environment(layout, recipe, "candidate", library, None, vendored=False)
    assert len({*keys, plain.key}) == 3
