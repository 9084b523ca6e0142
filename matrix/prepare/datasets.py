"""The data that likelihoods read where the workspace has not all: a person's own, or simulated."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from filelock import FileLock

from matrix.catalogue.pipelines import INSTRUMENTS, Pipeline, pipeline_named
from matrix.ground.errors import UsageError
from matrix.ground.files import read_bytes, write_bytes
from matrix.ground.hashing import digest, tree_hash
from matrix.ground.layout import REPOSITORY_ROOT, Layout
from matrix.ground.process import run
from matrix.ground.shell import inherited
from matrix.ground.suggestions import known_names
from matrix.prepare.checkout import Checkout
from matrix.prepare.manifest import SourceKind
from matrix.run.plan import OwnDataset

# What looks into a person's files, in an environment that can read them.
_CHECK = "matrix.pipelines.dataset"
_SIMULATION_TIMEOUT = 600.0
NOTHING: Mapping[str, Path] = MappingProxyType({})


@dataclass(frozen=True)
class LikelihoodData:
    """What likelihoods read.

    Attributes
    ----------
    own
        Those that are not the workspace's, by instrument.
    workspace
        Where they lie beside the rest; None without any.
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
    """See that the data of every other instrument are given, are there, or can be simulated.

    Raises
    ------
    UsageError
        They are not; says which source has them.
    """
    for pipeline in pipelines_without_data(workspace, names, given):
        name, in_repository = pipeline.instrument, INSTRUMENTS[pipeline.instrument].in_repository
        which = "The workspace's repository has them: --source git, or --source mirror. "
        if in_repository or not (workspace / pipeline.simulator).is_file():
            raise UsageError(
                f"{pipeline.name}: the {source} source has no data of {name} ({pipeline.dataset}). "
                f"{which if in_repository else ''}"
                f"Data of your own are given as --dataset {name}=FOLDER."
            )


def pipelines_without_data(
    workspace: Path, names: Sequence[str], given: Mapping[str, Path]
) -> list[Pipeline]:
    """A pipeline of each other instrument whose data are neither given nor in the workspace."""
    found: dict[str, Pipeline] = {}
    for pipeline in map(pipeline_named, names):
        folder = workspace / pipeline.dataset
        there = all((folder / file).is_file() for file in pipeline.data_files)
        if not (there or pipeline.instrument in given or pipeline.is_on_its_own_instrument):
            found[pipeline.instrument] = pipeline
    return list(found.values())


def simulated(layout: Layout, checkout: Checkout, pipeline: Pipeline, python: Path) -> Path:
    """Have the workspace's own script simulate an instrument's data, and keep them for the next run.

    Parameters
    ----------
    checkout
        The developer workspace, which is not written to.
    pipeline
        One on that instrument.
    python
        Of an environment with the stack.

    Raises
    ------
    UsageError
        The script does not make them.
    """
    setup = checkout.path / pipeline.simulator.parent
    key = digest((tree_hash(setup), str(python), pipeline.data, pipeline.instrument))[:16]
    kept = layout.cache / "simulated" / f"{pipeline.instrument}-{key}"
    folder = kept / pipeline.dataset
    with FileLock(layout.locks / f"simulated-{kept.name}.lock"):
        if not kept.is_dir():
            aside = kept.with_suffix(".new")
            shutil.rmtree(aside, ignore_errors=True)
            shutil.copytree(setup, aside / pipeline.simulator.parent)
            _simulate(layout, aside, pipeline, python)
            aside.rename(kept)
    return folder


def _simulate(layout: Layout, root: Path, pipeline: Pipeline, python: Path) -> None:
    variables = {
        **inherited(),
        # No workspace, so that there is no version to check; and nothing to be shown.
        "PYAUTO_SKIP_WORKSPACE_VERSION_CHECK": "1",
        "MPLBACKEND": "Agg",
        "NUMBA_CACHE_DIR": str(layout.cache / "numba" / "stock"),
        "MPLCONFIGDIR": str(layout.cache / "matplotlib"),
    }
    words: list[str | Path] = [python, root / pipeline.simulator, "--instrument", pipeline.instrument]
    done = run(words, cwd=root, env=variables, timeout=_SIMULATION_TIMEOUT, check=False)
    if not all((root / pipeline.dataset / file).is_file() for file in pipeline.data_files):
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UsageError(
            f"{pipeline.name}: {pipeline.simulator} of the workspace made no data of {pipeline.instrument} "
            f"with this release ({said}). Give data by --dataset {pipeline.instrument}=FOLDER."
        )


def lay_out_data(
    layout: Layout,
    checkout: Checkout,
    names: Sequence[str],
    given: Mapping[str, Path],
    made: Mapping[str, Path] = NOTHING,
) -> LikelihoodData:
    """Copy what the pipelines read to a folder named after its content, other data in their place.

    Parameters
    ----------
    checkout
        The developer workspace.
    names
        Of the pipelines.
    given, made
        Folders of a person's data, and of simulated ones, by instrument.
    """
    other = {**given, **made}
    if not other:
        return LikelihoodData({}, None)
    read = dict(_files_read(checkout.path, [pipeline_named(name) for name in names], other))
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
            given=str(path) if name in given else f"dataset_setup/{INSTRUMENTS[name].data}.py",
            files={file: sums[file] for file in sums if PurePosixPath(file).parent.name == name},
            simulated=name in made,
        )
        for name, path in other.items()
    }
    return LikelihoodData(own, folder)


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


def check_contents(python: Path, data: LikelihoodData, scale: str, names: Sequence[str]) -> None:
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
        raise UsageError(f"data do not fit. {'; '.join(faults)}. Put right or cut what --dataset names.")
