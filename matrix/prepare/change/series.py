"""The series of commits that vendoring is: named steps, after each of which a maintainer can stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.prepare.change.recognition import UnrecognisedError
from matrix.prepare.change.tree import PlannedTree, Writes


@dataclass(frozen=True)
class Step:
    """One step of the series.

    Attributes
    ----------
    title, message
        First line and body of the commit that it becomes.
    edit
        Plans the step in a tree in which those before it are planned; plans nothing where it is done.
    """

    title: str
    message: str
    edit: Callable[[PlannedTree], None]


@dataclass(frozen=True)
class PlannedStep:
    """A step with all that it writes: path to text, None for a file that goes."""

    title: str
    message: str
    writes: Writes


def plan_steps(checkout: Path, steps: Sequence[Step]) -> tuple[PlannedStep, ...]:
    """Plan every step; nothing is written.

    Raises
    ------
    UnrecognisedError
        With everything in the checkout that a step did not recognise.
    """
    tree = PlannedTree(checkout)
    planned = []
    for step in steps:
        step.edit(tree)
        planned.append(PlannedStep(step.title, step.message, tree.take_step()))
    if tree.problems:
        raise UnrecognisedError(*tree.problems)
    return tuple(planned)
