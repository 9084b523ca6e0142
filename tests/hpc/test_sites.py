"""Clusters as sites have them, on a real Slurm behind a real sshd: what a profile says is what a job gets."""

import dataclasses
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from matrix.ground.errors import EnvironmentFailure, NetworkError, UsageError
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.hpc import remote as remote_end
from matrix.hpc.check import check
from matrix.hpc.install import install
from matrix.hpc.profile import Profile
from matrix.hpc.remote import Remote
from matrix.hpc.ship import describe_stack
from tests.cluster import Slurm, require_bubblewrap, running_slurm, running_sshd, wait_until
from tests.hpc.made_up import GOOD, make_run

CELL = "imaging-mge-fp64-baseline"
RELEASE = "2026.7.9.1"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with running_slurm(tmp_path_factory.mktemp("slurm") / "daemons") as started:
        yield started


@dataclasses.dataclass
class Site:
    """A login node with modules, a scratch folder by variable, and PyAuto as working trees."""

    folder: Path
    ssh_config: Path

    @property
    def trees(self) -> Path:
        return self.folder / "PyAuto"

    def profile(self, **changes: Any) -> Profile:
        facts: dict[str, Any] = {
            "host": "cluster",
            "ssh_config": self.ssh_config,
            "root": "$SCRATCH/nnls",
            "driver": sys.executable,
            "python": "$STACK/python",
            "partition": "test",
            "memory": None,
            "time": "1:30:00",
            "setup": (f"source {self.folder}/modules.sh", "module load stack"),
        }
        return Profile.model_validate({**facts, **changes})

    def checked(self, **changes: Any) -> tuple[int, list[str]]:
        said = io.StringIO()
        code = check(Console(file=said, width=400), Remote(self.profile(**changes)).expanded())
        return code, said.getvalue().splitlines()


@pytest.fixture(scope="module")
def site(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    for name in ("scratch", "bin", "home"):
        (folder / name).mkdir()
    (folder / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / "bin" / "python").chmod(0o755)
    for name in ("autolens", "numba"):
        (folder / "PyAuto" / name).mkdir(parents=True)
        (folder / "PyAuto" / name / "__init__.py").write_text(f"__version__ = {RELEASE!r}\n")
    (folder / "modules.sh").write_text(
        "module() {\n"
        "  echo The following have been reloaded: gcc\n"
        f"  export SCRATCH={folder}/scratch STACK={folder}/bin\n"
        f"  export PYTHONPATH={folder}/PyAuto:${{PYTHONPATH:-}}\n"
        "}\n"
    )
    login = {"SLURM_CONF": str(slurm.configuration), "HOME": str(folder / "home"), "SBATCH_PARTITION": "none"}
    with running_sshd(folder / "ssh", login) as ssh_config:
        yield Site(folder, ssh_config)


def test_check_asks_slurm_for_the_job_and_leaves_nothing(site: Site) -> None:
    before = sorted(site.folder.rglob("*"))
    code, lines = site.checked(tmpdir="$SLURM_TMPDIR/x", sbatch=("--nice=5",))
    assert code == 0, "\n".join(lines)
    assert any(f"autolens {RELEASE} ({site.trees}/autolens, no commit)" in line for line in lines)
    assert any(line.startswith("✓ job: sbatch: Job") for line in lines), lines
    assert sorted(site.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("changes", "probe", "says"),
    [
        ({"partition": "nowhere"}, "job", "invalid partition"),
        ({"sbatch": ("--no-such-option",)}, "job", "unrecognized option"),
        ({"cpus": 9999}, "job", "node configuration is not available"),
        ({"python": "/nowhere/python"}, "environment", "/nowhere/python"),
        ({"root": "/proc/nnls"}, "folder", "/proc/.nnls-matrix"),
    ],
)
def test_what_slurm_or_the_site_refuses_is_named(
    site: Site, changes: dict[str, Any], probe: str, says: str
) -> None:
    code, lines = site.checked(**changes)
    assert code == 3
    failed = next(number for number, line in enumerate(lines) if line.startswith(f"✗ {probe}"))
    assert says.lower() in "\n".join(lines[failed : failed + 4]).lower()


def test_folders_are_those_of_the_cluster(site: Site) -> None:
    remote = Remote(site.profile(root="~/nnls")).expanded()
    assert (remote.profile.root, remote.profile.python) == (
        f"{site.folder}/home/nnls",
        f"{site.folder}/bin/python",
    )
    with pytest.raises(UsageError, match=r"\$WORK is not set on cluster.*`setup`"):
        Remote(site.profile(root="$WORK/nnls")).expanded()
    with pytest.raises(UsageError, match="no such folder"):
        Remote(site.profile(root="$SHLVL/nnls", setup=("export SHLVL=2",), python="/x")).expanded()


def test_a_line_of_setup_that_fails_is_named(site: Site) -> None:
    with pytest.raises(EnvironmentFailure, match="`setup` failed with exit 127 at: module load stack"):
        Remote(site.profile(setup=("module load stack",))).expanded()


def test_working_trees_are_named_with_their_commit(site: Site, tmp_path: Path) -> None:
    shutil.copytree(site.trees, tmp_path / "PyAuto")
    git = ["git", "-C", str(tmp_path / "PyAuto"), "-c", "user.name=x", "-c", "user.email=x"]
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "x")):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    setup = (*site.profile().setup, f"export PYTHONPATH={tmp_path}/PyAuto")
    remote = Remote(site.profile(setup=setup)).expanded()
    found = describe_stack(remote)
    assert found.packages["autolens"] == RELEASE
    assert found.trees["autolens"] == (f"{tmp_path}/PyAuto/autolens", f"commit {head.strip()}")
    assert found.path == (f"{tmp_path}/PyAuto",)
    assert "jax" not in found.trees
    (tmp_path / "PyAuto" / "autolens" / "__init__.py").write_text("__version__ = '2026.10.26.1'\n")
    edited = describe_stack(remote)
    assert edited.said("autolens").endswith(f"commit {head.strip()}, changed since)")
    assert edited.packages["autolens"] == "2026.10.26.1"


def test_python_in_a_container_is_asked_there(site: Site, tmp_path: Path) -> None:
    # Stands for a container: what is at /opt/stack is there inside alone.
    container = tmp_path / "container"
    container.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/images\nshift 2\nexec {sys.executable} "$@"\n')
    container.chmod(0o755)
    code, lines = site.checked(launch=f"{container} $SCRATCH/stack.sif", python="/opt/stack/python")
    assert code == 0, "\n".join(lines)
    assert set((tmp_path / "images").read_text().split()) == {f"{site.folder}/scratch/stack.sif"}


def committed(folder: Path, version: str) -> str:
    """Make a working tree of autolens, and say its commit."""
    (folder / "autolens").mkdir(parents=True)
    (folder / "autolens" / "__init__.py").write_text(f"__version__ = {version!r}\n")
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x"]
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", version)):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return head.stdout.strip()


def test_a_working_tree_has_the_commit_that_it_has_in_the_container(site: Site, tmp_path: Path) -> None:
    """A container may have another folder where there is one of that name outside."""
    inside = require_bubblewrap()
    outside_head = committed(tmp_path / "PyAuto", "2026.5.8.2")
    inside_head = committed(tmp_path / "image", RELEASE)
    setup = (*site.profile().setup, f"export PYTHONPATH={tmp_path}/PyAuto")
    plain = describe_stack(Remote(site.profile(setup=setup)).expanded())
    assert plain.trees["autolens"][1] == f"commit {outside_head}"
    launch = f"{inside} --bind {tmp_path}/image {tmp_path}/PyAuto"
    found = describe_stack(Remote(site.profile(setup=setup, launch=launch)).expanded())
    assert found.packages["autolens"] == RELEASE
    assert found.trees["autolens"] == (f"{tmp_path}/PyAuto/autolens", f"commit {inside_head}")


def test_what_lies_in_a_container_is_not_installed_but_the_driver_is(site: Site) -> None:
    said = io.StringIO()
    there = {
        "launch": "apptainer exec /i.sif",
        "driver": "/new/driver/bin/python",
        "python": "/in/bin/python",
    }
    remote = Remote(site.profile(**there)).expanded()
    assert install(Console(file=said, width=400), remote, RELEASE, "python3", printed=True) == 0
    lines = said.getvalue().splitlines()
    assert "python3 -m venv /new/driver" in lines
    assert any(line.endswith("locks-sent/driver.txt") for line in lines)
    assert f"left        `python` lies in a container (`launch`), which is made with locks/{RELEASE}" in lines
    assert not any("/in" in line for line in lines)


def test_one_connection_is_asked_for_once(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "a secret", "-f", str(key)], check=True)
    allowed = site.folder / "ssh" / "user.pub"
    before = allowed.read_text()
    allowed.write_text(before + key.with_suffix(".pub").read_text())
    config = tmp_path / "config"
    config.write_text(site.ssh_config.read_text().replace(str(site.folder / "ssh" / "user"), str(key), 1))
    # Stands for the person who is asked.
    (tmp_path / "ask").write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\necho a secret\n")
    (tmp_path / "ask").chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(tmp_path / "ask"))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    # The path of a socket has to be short.
    sockets = Path(tempfile.mkdtemp(prefix="nnls-"))
    monkeypatch.setattr(remote_end, "machine_folder", lambda: sockets)
    remote = Remote(site.profile(ssh_config=config, multiplex=True))
    try:
        with pytest.raises(NetworkError, match="cannot reach cluster"):
            Remote(site.profile(ssh_config=config)).run(["true"])
        for _ in range(2):
            remote.connect()
        # Nobody is let in any more, but for what goes through the connection that is there.
        allowed.write_text("")
        assert remote.run(["echo", "there"]).stdout == "there\n"
        (tmp_path / "sent").mkdir()
        (tmp_path / "sent" / "file").write_text("x")
        remote.send(tmp_path / "sent", f"{site.folder}/scratch/sent")
        assert (site.folder / "scratch" / "sent" / "file").read_text() == "x"
        assert (tmp_path / "asked").read_text().split() == ["asked"]
    finally:
        allowed.write_text(before)
        subprocess.run([*remote._ssh, "-O", "exit", "--", "cluster"], check=False, capture_output=True)
        shutil.rmtree(sockets)


@pytest.fixture
def reservation(slurm: Slurm) -> Iterator[str]:
    words = ("reservation", "reservationname=ours", "starttime=now", "duration=60", "nodes=ALL", "users=root")
    said = slurm.ask("scontrol", "create", *words)
    if "ours" not in said:
        pytest.skip(f"this user may make no reservation: {said}")
    yield "ours"
    slurm.ask("scontrol", "delete", "reservationname=ours")


def test_a_job_gets_what_the_profile_says(slurm: Slurm, reservation: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    told_of = "import tempfile; open({!r}, 'a').write(tempfile.gettempdir() + chr(10)); "
    run = make_run(slurm, tmp_path / "made", {CELL: told_of.format(str(told)) + "time.sleep(600)"})
    run.submit(
        memory=None,
        time=90,
        reservation=reservation,
        mail_user="me@example.org",
        sbatch=("--comment=two words", "--nice=5"),
        setup=(f"export LOCAL={tmp_path}/local",),
        tmpdir="$LOCAL/job-$SLURM_JOB_ID",
    )
    job = run.job(CELL)
    wait_until(told.exists, "the cell's word")
    said = slurm.ask("scontrol", "--oneliner", "show", "job", job)
    slurm.ask("scancel", run.main_job)
    for fact in ("TimeLimit=01:30:00", "Comment=two words", "Nice=5", "Reservation=ours", "MailUser=me@ex"):
        assert fact in said
    script = next((run.plan.folder / "slurm").glob("*submission.sh")).read_text()
    assert "--mem" not in script
    assert told.read_text().startswith(f"{tmp_path}/local/job-")


def test_setup_that_changes_pythonpath_is_not_for_our_own_program(slurm: Slurm, tmp_path: Path) -> None:
    bad = tmp_path / "bad" / "pydantic"
    bad.mkdir(parents=True)
    (bad / "__init__.py").write_text("raise SystemExit('somebody else\\'s')\n")
    run = make_run(slurm, tmp_path / "made", {CELL: GOOD})
    run.submit(setup=(f"export PYTHONPATH={bad.parent}",))
    assert all(status.outcome == "passed" for status in run.ended().values())


def test_inside_an_allocation_a_job_is_its_own(slurm: Slurm, tmp_path: Path) -> None:
    run = make_run(slurm, tmp_path / "made", {CELL: GOOD})
    asked = run.resources(memory=0.2)
    words = [sys.executable, "-m", "matrix.execute.slurm", "submit", str(run.plan.folder)]
    done = subprocess.run(
        ["salloc", "--ntasks=1", "--mem=50", "--time=5", *words, "--resources", asked],
        env={**slurm.environment, "PYTHONPATH": str(REPOSITORY_ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert all(status.outcome == "passed" for status in run.ended().values())
    script = next((run.plan.folder / "slurm").glob("*submission.sh")).read_text()
    assert "--mem=205M" in script
