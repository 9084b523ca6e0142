"""Arguments of command lines that name what the catalogue has."""

import argparse

from matrix.catalogue.pipelines import AT, INSTRUMENTS, PIPELINES, pipeline_named
from matrix.ground.errors import UsageError

# What a command line says of the names it takes.
PIPELINE_NAMES = f"{', '.join(PIPELINES)}; with {AT}INSTRUMENT on another one: {', '.join(INSTRUMENTS)}"


def pipeline_argument(word: str) -> str:
    """A type of argument: a pipeline's name, without the instrument where that is its own."""
    try:
        return pipeline_named(word).name
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
