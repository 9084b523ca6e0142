"""The stand-in's generations: its scripts and constants follow the developer workspace's of a release's time.

The template is of the first generation and holds no constants. A later one has other words in its scripts.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from matrix.catalogue.pipelines import PIPELINES, Pipeline
from matrix.catalogue.releases import order_of
from matrix.ground.errors import UsageError
from matrix.ground.files import write_json, write_text
from matrix.records.cell import Scale

CONSTANTS = Path(__file__).with_name("expected_constants.json")

Constants = Mapping[str, Mapping[Scale, float]]


@dataclass(frozen=True)
class Generation:
    """The stand-in from one release on.

    Attributes
    ----------
    since
        The first release.
    words
        What the template's scripts say, and what this generation's say in its place.
    """

    since: str
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def constants(self) -> Constants:
        """Recorded value by pipeline and scale."""
        return dict(json.loads(CONSTANTS.read_text(encoding="utf-8"))[self.since])


GENERATIONS = (
    Generation("2026.5.8.2"),
    Generation(
        "2026.8.29.1",
        {
            "sub_size_list=[4, 2, 1]": "sub_size_list=[4, 2, 2]",
            "al.mesh.RectangularAdaptDensity": "al.mesh.RectangularBilinearAdaptDensity",
        },
    ),
)


def generation_of(release: str) -> Generation:
    """The generation that a release belongs to; one older than all belongs to the first."""
    reached = [made for made in GENERATIONS if order_of(made.since) <= order_of(release)]
    return reached[-1] if reached else GENERATIONS[0]


def write_generation(workspace: Path, generation: Generation) -> None:
    """Turn a copy of the template into the stand-in of a generation."""
    use_words(workspace, generation)
    for name, by_scale in generation.constants.items():
        script = workspace / PIPELINES[name].script
        text = script.read_text(encoding="utf-8")
        for scale, value in by_scale.items():
            text = with_constant(text, PIPELINES[name], scale, value)
        write_text(script, text)


def scripted(workspace: Path) -> list[Pipeline]:
    """The pipelines that the stand-in has a script of; a new one may have none yet."""
    return [pipeline for pipeline in PIPELINES.values() if (workspace / pipeline.script).is_file()]


def use_words(workspace: Path, generation: Generation) -> None:
    """Put a generation's words into the scripts of a copy of the template; a second time changes nothing."""
    for pipeline in scripted(workspace):
        script = workspace / pipeline.script
        text = script.read_text(encoding="utf-8")
        for old, new in generation.words.items():
            text = text.replace(old, new)
        write_text(script, text)


def record_constants(generation: Generation, values: Constants) -> None:
    """Make `values` the recorded constants of a generation."""
    recorded = json.loads(CONSTANTS.read_text(encoding="utf-8"))
    write_json(CONSTANTS, {**recorded, generation.since: values})


def with_constant(text: str, pipeline: Pipeline, scale: Scale, value: float) -> str:
    """Put a constant into the text of a script, in whichever of the two forms it is written there.

    Raises
    ------
    UsageError
        The script has no such constant.
    """
    instrument = pipeline.instrument + ("_smoke" if scale == "smoke" else "")
    kind = "LIKELIHOOD" if pipeline.quantity == "log_likelihood" else "EVIDENCE"
    names = (rf"^EXPECTED_LOG_{kind}_{instrument.upper()} = ", rf'^    "{instrument}": ')
    for name in names:
        changed, count = re.subn(
            rf"({name})(?:None|[-+.\deE]+)", rf"\g<1>{value!r}", text, flags=re.MULTILINE
        )
        if count == 1:
            return changed
    raise UsageError(f"{pipeline.script} holds no constant for {instrument}.")
