"""Jobs of a workflow on this machine, step by step as a runner takes them; GitHub's own actions in short."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from matrix.ground.layout import REPOSITORY_ROOT
from matrix.ground.yaml_text import parse_yaml
from tests.copies import copy_project

WORKFLOWS = REPOSITORY_ROOT / ".github" / "workflows"
# What steers a process here and would not be set on a runner.
STEERING = ("PYTHON", "VIRTUAL_ENV", "MATRIX_", "GITHUB_", "RUNNER_", "NOX", "JAX_", "PYTEST_")


GITHUB = {
    "ref": "refs/heads/main",
    "sha": "0" * 40,
    "actor": "somebody",
    "actor_id": "1",
    "repository": "somebody/nnls-matrix",
    "run_id": "7",
    "server_url": "https://github.com",
    "token": "",
    "workflow": "matrix",
}


class Context(dict[str, Any]):
    """A context of an expression: members by dot, and nothing where there is none, as GitHub has it."""

    def __getattr__(self, name: str) -> Any:
        value = self[name]
        return Context(value) if isinstance(value, Mapping) else value

    def __missing__(self, name: str) -> str:
        return ""


@dataclass
class Job:
    """What a job came to.

    Attributes
    ----------
    steps
        Outcome of each step that ran, by its name (or the action it uses): success or failure.
    log
        What the steps printed.
    outputs
        Of the job, for those that need it.
    summary
        What the steps wrote on the run's page.
    """

    steps: dict[str, str] = field(default_factory=dict)
    log: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""

    @property
    def result(self) -> str:
        """What jobs that need this one see."""
        return "failure" if "failure" in self.steps.values() else "success"


@dataclass
class Run:
    """One run of a workflow.

    Attributes
    ----------
    workflow
        Name of the file, without its ending.
    folder
        Where workspaces and artifacts go.
    inputs
        What the person who started it chose.
    variables
        More environment for every step.
    event
        What started it, as GitHub's context says: its name and the payload.
    restored
        Path in a workspace to a folder that is linked there, as a restored cache would lie there.
    called
        Whether a workflow of the repository that `event` names calls this one; `inputs` are what it gives.
    skipped
        Steps that are left out, by name or by the action they use.
    """

    workflow: str
    folder: Path
    inputs: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    event: Mapping[str, Any] = field(default_factory=lambda: {"event_name": "push", "event": {"action": ""}})
    restored: Mapping[str, Path] = field(default_factory=dict)
    called: bool = False
    skipped: Sequence[str] = ()
    jobs: dict[str, Job] = field(default_factory=dict)

    @property
    def document(self) -> Any:
        return parse_yaml((WORKFLOWS / f"{self.workflow}.yml").read_text()).value

    def variable(self, name: str) -> str:
        """What the workflow sets a variable to, for all its jobs."""
        return self._of_all_jobs(self.document["env"][name])

    @property
    def group(self) -> str:
        """Of the runs in it no two go on at once."""
        return self._of_all_jobs(self.document["concurrency"]["group"])

    def _of_all_jobs(self, text: str) -> str:
        return _Worker(self, next(iter(self.document["jobs"])), Context())._text(text)

    def job(self, name: str, /, **matrix: str) -> Job:
        """Carry a job out, with these values of its job matrix."""
        return _Worker(self, name, Context(matrix)).work()


class _Worker:
    """The machine that one job gets."""

    def __init__(self, run: Run, name: str, matrix: Context) -> None:
        self.run = run
        self.name = name
        self.definition = run.document["jobs"][name]
        place = "-".join(
            [name, *(value.replace("/", "-of-").replace(", ", "-") for value in matrix.values())]
        )
        self.folder = run.folder / place
        self.workspace = self.folder / "workspace"
        self.workspace.mkdir(parents=True)
        self.path = os.environ["PATH"]
        self.job = Job()
        ids = [step["id"] for step in self.definition["steps"] if "id" in step]
        self.steps = Context({name: {"outputs": {}} for name in ids})
        needs = {name: {"result": job.result, "outputs": job.outputs} for name, job in run.jobs.items()}
        self.contexts: dict[str, Any] = {
            "matrix": matrix,
            "needs": Context(needs),
            "steps": self.steps,
            "inputs": Context(run.inputs),
            "github": Context({**GITHUB, **run.event}),
            "job": Context(workflow_repository=GITHUB["repository"], workflow_sha=GITHUB["sha"]),
            "runner": Context(os="Linux"),
            "secrets": Context(),
            "env": Context(),
            "cancelled": lambda: False,
            "always": lambda: True,
            "success": lambda: self.job.result == "success",
            "failure": lambda: self.job.result == "failure",
            "hashFiles": lambda *_: "0" * 64,
            "fromJSON": json.loads,
            "contains": lambda found, wanted: wanted in found,
            "each": lambda found, name: [one[name] for one in found],
        }
        if run.called:
            asked = run.document["on"]["workflow_call"]["inputs"]
            defaults = {name: self._text(one["default"]) for name, one in asked.items()}
            self.contexts["inputs"] = Context({**defaults, **run.inputs})

    def work(self) -> Job:
        for step in self.definition["steps"]:
            if not self._wanted(str(step.get("if", "success()"))):
                continue
            title = str(step.get("name") or step["uses"].partition("@")[0])
            if title in self.run.skipped:
                continue
            act = self._use if "uses" in step else self._execute
            self.job.log += f"--- {self.name}: {title}\n"
            self.job.steps[title] = "success" if act(step) else "failure"
        for name, text in self.definition.get("outputs", {}).items():
            self.job.outputs[name] = self._text(text)
        summary = self.folder / "summary"
        self.job.summary = summary.read_text() if summary.exists() else ""
        self.run.jobs[self.name] = self.job
        return self.job

    def _wanted(self, condition: str) -> bool:
        expression = condition.removeprefix("${{").removesuffix("}}")
        # Without one of these a step runs only while all went well.
        implied = not re.search(r"\b(cancelled|always|success|failure)\(", expression)
        return bool(self._value(expression)) and (not implied or self.job.result == "success")

    def _value(self, expression: str) -> Any:
        """An expression's value: GitHub's operators are Python's by other names."""
        python = " ".join(expression.split()).replace("||", " or ").replace("&&", " and ")
        python = re.sub(r"([\w.]+)\.\*\.(\w+)", r"each(\1, '\2')", python)
        python = re.sub(r"!(?!=)", " not ", python).strip()
        return eval(python, {"__builtins__": {}, "true": True, "false": False}, self.contexts)

    def _text(self, text: object) -> str:
        return re.sub(
            r"\$\{\{(.*?)\}\}", lambda match: str(self._value(match[1])), str(text), flags=re.DOTALL
        )

    def _texts(self, mapping: Mapping[str, object]) -> dict[str, str]:
        return {name: self._text(text) for name, text in mapping.items()}

    def _execute(self, step: Mapping[str, Any]) -> bool:
        output = self.folder / "output"
        output.write_text("")
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(STEERING)}
        environment = {
            **inherited,
            **self._texts(self.run.document.get("env", {})),
            **self._texts(self.definition.get("env", {})),
            **self._texts(step.get("env", {})),
            **self.run.variables,
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "RUNNER_TEMP": str(self.folder),
            "PATH": self.path,
        }
        script = self.folder / "script.sh"
        script.write_text(self._text(step["run"]))
        # As GitHub calls it where a step names no shell.
        done = subprocess.run(
            ["bash", "-e", script],
            cwd=self.workspace,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.job.log += done.stdout
        if "id" in step:
            pairs = (line.partition("=") for line in output.read_text().splitlines())
            self.steps[step["id"]] = {"outputs": {name: value for name, _, value in pairs}}
        return done.returncode == 0

    def _use(self, step: Mapping[str, Any]) -> bool:
        action = step["uses"].partition("@")[0].removeprefix("actions/").removeprefix("$/.github/actions/")
        return ACTIONS[action](self, Context(self._texts(step.get("with", {}))))

    def _checkout(self, given: Context) -> bool:
        """This repository; of any other, as of one that calls a workflow of ours, nothing is there."""
        if (given["repository"] or self.contexts["github"].repository) != GITHUB["repository"]:
            return False
        copy_project(self.workspace)
        for name, origin in self.run.restored.items():
            (self.workspace / name).parent.mkdir(parents=True, exist_ok=True)
            (self.workspace / name).symlink_to(origin)
        return True

    def _setup_python(self, _: Context) -> bool:
        """The Python that runs this, whatever version is asked for."""
        venv.create(self.folder / "python", with_pip=True, symlinks=True)
        self.path = f"{self.folder / 'python' / 'bin'}:{Path(sys.base_prefix) / 'bin'}:{self.path}"
        return True

    def _upload(self, given: Context) -> bool:
        names = given["path"].split()
        # Of several paths an artifact holds what is below the folder they share.
        shared = Path(os.path.commonpath(names))
        hidden = any(part.startswith(".") for name in names for part in Path(name).parts)
        found = [name for name in names if (self.workspace / name).exists()]
        if not found or (hidden and given.get("include-hidden-files") != "True"):
            return given.get("if-no-files-found") != "error"
        # What is not archived is called what its file is called.
        archived = given.get("archive") != "False"
        artifact = self.run.folder / "artifacts" / (given["name"] if archived else "")
        for name in found:
            origin, target = self.workspace / name, artifact / Path(name).relative_to(shared)
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if origin.is_dir() else shutil.copy2)(origin, target)
        return True

    def _download(self, given: Context) -> bool:
        artifacts = self.run.folder / "artifacts"
        found = [artifacts / given["name"]] if "name" in given else sorted(artifacts.iterdir())
        for artifact in found:
            if "name" in given:
                shutil.copytree(artifact, self.workspace / given["path"], dirs_exist_ok=True)
            elif fnmatch(artifact.name, given["pattern"]):
                shutil.copytree(artifact, self.workspace / given["path"] / artifact.name)
        return bool(found)


ACTIONS: Mapping[str, Callable[[_Worker, Context], bool]] = {
    "checkout": _Worker._checkout,
    "setup-python": _Worker._setup_python,
    "setup": _Worker._setup_python,
    "upload-artifact": _Worker._upload,
    "download-artifact": _Worker._download,
}
