"""The data that likelihoods read where these are not all the workspace's: a person's own beside them."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from filelock import FileLock

from matrix.catalogue.pipelines import INSTRUMENTS, Pipeline, pipeline_named
from matrix.ground.errors import UsageError
from matrix.ground.files import read_bytes, write_bytes
from matrix.ground.hashing import digest
from matrix.ground.layout import REPOSITORY_ROOT, Layout
from matrix.ground.process import run
from matrix.ground.shell import inherited
from matrix.ground.suggestions import known_names
from matrix.prepare.checkout import Checkout
from matrix.prepare.manifest import SourceKind
from matrix.run.plan import OwnDataset

# What looks into a person's files, in an environment that can read them.
_CHECK = "matrix.pipelines.dataset"


@dataclass(frozen=True)
class Data:
    """What likelihoods read.

    Attributes
    ----------
    own
        A person's data, by instrument.
    workspace
        Where they take the place of the workspace's; None without any.
    """

    own: Mapping[str, OwnDataset]
    workspace: Path | None


def check_given(given: Mapping[str, Path], selected: Sequence[str]) -> None:
    """See that what `--dataset` names is there, whole, and asked for.

    Raises
    ------
    UsageError
        An instrument is not known or no selected pipeline is on it, or a file is missing.
    """
    for name, folder in given.items():
        option = f"--dataset {name}={folder}"
        if name not in INSTRUMENTS:
            raise UsageError(f"{option}: there is no instrument {name!r}.{known_names(name, INSTRUMENTS)}")
        on_it = [one for one in map(pipeline_named, selected) if one.instrument == name]
        if not on_it:
            data = INSTRUMENTS[name].data
            raise UsageError(
                f"{option}: no pipeline that is run is on {name}. Name one, as --only {data}-mge@{name}."
            )
        wanted = on_it[0].data_files
        missing = [file for file in wanted if not (folder / file).is_file()]
        if missing:
            raise UsageError(
                f"{option}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not there. "
                f"The folder must hold {', '.join(wanted)}, as FITS files of one array each."
            )


def check_there(workspace: Path, source: SourceKind, names: Sequence[str], given: Mapping[str, Path]) -> None:
    """See that the workspace has the data of every other instrument that is not given.

    Raises
    ------
    UsageError
        It has not; says which source has them, or how to make them.
    """
    for pipeline in map(pipeline_named, names):
        folder = workspace / pipeline.dataset
        there = all((folder / file).is_file() for file in pipeline.data_files)
        if there or pipeline.instrument in given or pipeline.is_on_its_own_instrument:
            continue
        name = pipeline.instrument
        if INSTRUMENTS[name].in_repository and source is SourceKind.EMBEDDED:
            remedy = "The workspace's repository has them: --source git, or --source mirror."
        else:
            remedy = f"No source has them. {pipeline.how_to_simulate}"
        raise UsageError(
            f"{pipeline.name}: the {source} source has no data of {name} ({pipeline.dataset}). {remedy} "
            f"What you made, or data of your own, is given as --dataset {name}=FOLDER."
        )


def laid_out(layout: Layout, checkout: Checkout, names: Sequence[str], given: Mapping[str, Path]) -> Data:
    """Copy what the pipelines read to a folder named after its content, a person's data in their place.

    Parameters
    ----------
    checkout
        The developer workspace.
    names
        Of the pipelines.
    given
        Folders of a person's data, by instrument.
    """
    if not given:
        return Data({}, None)
    read = dict(_files_read(checkout.path, [pipeline_named(name) for name in names], given))
    content = {name: read_bytes(path) for name, path in read.items()}
    sums = {name: hashlib.sha256(held).hexdigest() for name, held in content.items()}
    folder = layout.cache / "workspaces" / digest(word for item in sorted(sums.items()) for word in item)[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(layout.locks / f"workspace-{folder.name}.lock"):
        # Made anew each time: what lies there may have been edited.
        aside = folder.with_suffix(".new")
        shutil.rmtree(aside, ignore_errors=True)
        for name, held in content.items():
            write_bytes(aside / name, held)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    own = {
        name: OwnDataset(
            given=str(path),
            files={file: sums[file] for file in sums if PurePosixPath(file).parent.name == name},
        )
        for name, path in given.items()
    }
    return Data(own, folder)


def _files_read(
    workspace: Path, pipelines: Sequence[Pipeline], given: Mapping[str, Path]
) -> Iterator[tuple[str, Path]]:
    """Each file that the pipelines read, by its path in the workspace, and where it is taken from."""
    for pipeline in pipelines:
        if (workspace / pipeline.script).is_file():
            yield str(pipeline.script), workspace / pipeline.script
        folder = given.get(pipeline.instrument, workspace / pipeline.dataset)
        for name in pipeline.data_files:
            if (folder / name).is_file():
                # A person's data are often links to where they are kept.
                yield str(pipeline.dataset / name), (folder / name).resolve()


def check_contents(python: Path, data: Data, scale: str, names: Sequence[str]) -> None:
    """Have a side's environment, which reads FITS, look whether a person's data fit their pipelines.

    Raises
    ------
    UsageError
        They do not; says which file, in what, and what would fit.
    """
    concerned = [name for name in names if pipeline_named(name).instrument in data.own]
    if data.workspace is None or not concerned:
        return
    words: list[str | Path] = ["--workspace", data.workspace, "--scale", scale, *concerned]
    done = run([python, "-m", _CHECK, *words], env={**inherited(), "PYTHONPATH": str(REPOSITORY_ROOT)})
    faults = json.loads(done.stdout)
    if faults:
        raise UsageError(f"--dataset does not fit. {'; '.join(faults)}. Put these files right, or cut them.")
