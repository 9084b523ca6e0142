"""A real Slurm of one node, and a real sshd, on the loopback interface, for as long as a test needs them."""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

SLURM_PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "scontrol", "sacct", "rsync")
ACCOUNTING_PROGRAMS = ("slurmdbd", "sacctmgr", "mariadbd", "mariadb-install-db")
SSH_PROGRAMS = ("sshd", "ssh", "ssh-keygen")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
NODE_LOST_SECONDS = 10
PARTITIONS = {
    "test": "Default=YES PreemptMode=OFF OverSubscribe=FORCE:12",
    # A job in the second takes the node from a job in the first.
    "scavenge": "PriorityTier=1 PreemptMode=REQUEUE OverSubscribe=NO",
    "urgent": "PriorityTier=2 PreemptMode=OFF OverSubscribe=NO",
}


def require(programs: tuple[str, ...], package: str) -> None:
    """Skip, saying why, where a program is missing."""
    missing = [name for name in programs if shutil.which(name, path=PATH) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed (Debian: {package})")


def require_bubblewrap() -> str:
    """Words that start a program in a container of all there is; skip, saying why, where that cannot be."""
    require(("bwrap",), "bubblewrap")
    words = ("bwrap", "--bind", "/", "/", "--dev-bind", "/dev", "/dev")
    done = subprocess.run([*words, "true"], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        pytest.skip(f"this user may make no container: {done.stderr.strip()}")
    return " ".join(words)


@dataclass
class Slurm:
    """One controller and one node; nothing of it listens beyond the loopback interface."""

    folder: Path

    @property
    def configuration(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.configuration), "PATH": PATH}

    def start_controller(self) -> None:
        self._start("slurmctld")
        wait_until(lambda: "UP" in self.ask("scontrol", "ping").splitlines()[0], "the controller")

    def start_node(self) -> None:
        self._start("slurmd")
        wait_until(lambda: self.ask("sinfo", "-h", "-o", "%T") in ("idle", "mixed"), "the node")

    def kill(self, daemon: str) -> None:
        """End a daemon as a crash would."""
        path = self.folder / f"{daemon}.pid"
        if path.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(path.read_text()), signal.SIGKILL)
            path.unlink()

    def lose_node(self) -> None:
        """End the node as a power failure would, with every job on it."""
        self.kill("slurmd")
        jobs = self._ours(but=("slurmctld", "slurmdbd", "mariadbd"))
        # First what would tell the controller how its job ended.
        for process in [*_steps_of(jobs), *jobs]:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def end(self) -> None:
        """End jobs, daemons and whatever they started; nothing may outlive the test."""
        self.ask("scancel", "--user", getpass.getuser())
        ours = self._ours()
        for process in ours:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(ours, timeout=30)

    def _ours(self, but: tuple[str, ...] = ()) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get("SLURM_CONF") == str(self.configuration)
                if ours and process.name() not in but:
                    found.append(process)
        return found

    def ask(self, *words: str) -> str:
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        return (done.stdout or done.stderr).strip()

    def _start(self, daemon: str) -> None:
        program = shutil.which(daemon, path=PATH)
        assert program is not None
        # The daemons leave their start's session; the log files say why if they do not come up.
        subprocess.run([program], env=self.environment, check=True, timeout=60)


def _steps_of(jobs: list[psutil.Process]) -> set[psutil.Process]:
    found = set()
    for job in jobs:
        with contextlib.suppress(psutil.Error):
            found |= {parent for parent in job.parents() if parent.name().startswith("slurmstepd")}
    return found


@contextlib.contextmanager
def running_slurm(folder: Path, settings: Mapping[str, object] | None = None) -> Iterator[Slurm]:
    """Start a Slurm in `folder` and end it afterwards, jobs and all; `settings` override slurm.conf."""
    require(SLURM_PROGRAMS, "slurm-wlm rsync")
    folder.mkdir(parents=True)
    slurm = Slurm(folder)
    slurm.configuration.write_text(_configuration(folder, settings or {}))
    # Left to itself a newer slurmd would set up cgroups, as root alone may; version 1 waits to be used.
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    try:
        slurm.start_controller()
        slurm.start_node()
        yield slurm
    finally:
        slurm.end()


@dataclass
class Accounting:
    """Slurm's accounting over a database; `settings` is what slurm.conf must say to use it."""

    daemon: "subprocess.Popen[bytes]"
    settings: Mapping[str, object]

    def kill(self) -> None:
        """End it as a crash would."""
        self.daemon.kill()
        self.daemon.wait()


@contextlib.contextmanager
def running_accounting(folder: Path) -> Iterator[Accounting]:
    """Start a database and slurmdbd in `folder`, and end them afterwards."""
    require(ACCOUNTING_PROGRAMS, "slurmdbd mariadb-server")
    folder.mkdir(parents=True)
    port, sock, data = _free_port(), folder / "db.sock", folder / "data"
    user = getpass.getuser()
    configuration = {
        "AuthType": "auth/none",
        "DbdHost": "localhost",
        "DbdAddr": "127.0.0.1",
        "DbdPort": port,
        "SlurmUser": user,
        "StorageType": "accounting_storage/mysql",
        "StorageUser": user,
        "LogFile": folder / "slurmdbd.log",
        "PidFile": folder / "slurmdbd.pid",
    }
    path = folder / "slurmdbd.conf"
    path.touch(0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in configuration.items()))
    # Which slurmdbd looks for beside this.
    environment = {"PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf"), "MYSQL_UNIX_PORT": str(sock)}
    make = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={user}"]
    subprocess.run(
        [*make, f"--auth-root-socket-user={user}"],
        env=environment,
        check=True,
        capture_output=True,
        timeout=120,
    )
    with contextlib.ExitStack() as started:

        def start(*words: str) -> "subprocess.Popen[bytes]":
            program = shutil.which(words[0], path=PATH)
            assert program is not None
            process = subprocess.Popen(
                [program, *words[1:]],
                env=environment,
                stdout=started.enter_context((folder / f"{words[0]}.out").open("wb")),
                stderr=subprocess.STDOUT,
            )
            started.callback(process.wait)
            started.callback(process.kill)
            return process

        database = ("--no-defaults", f"--datadir={data}", f"--socket={sock}", f"--user={user}")
        start("mariadbd", *database, "--skip-networking")
        wait_until(sock.exists, "the database")
        daemon = start("slurmdbd", "-D")
        wait_until(lambda: _answers(port), "slurmdbd")
        settings = {
            "AccountingStorageType": "accounting_storage/slurmdbd",
            "AccountingStorageHost": "127.0.0.1",
            "AccountingStoragePort": port,
        }
        yield Accounting(daemon, settings)


def _configuration(folder: Path, settings: Mapping[str, object]) -> str:
    program = shutil.which("slurmd", path=PATH)
    assert program is not None
    # "NodeName=vm CPUs=2 Boards=1 ... RealMemory=24000" and a line with the uptime.
    node = subprocess.run([program, "-C"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    host = socket.gethostname().partition(".")[0]
    control, daemon = _free_port(), _free_port()
    for name in ("state", "spool"):
        (folder / name).mkdir()
    lines = {
        "ClusterName": "test",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmctldPort": control,
        "SlurmdPort": daemon,
        "SlurmUser": getpass.getuser(),
        "SlurmdUser": getpass.getuser(),
        "AuthType": "auth/none",
        "CredType": "cred/none",
        "CommunicationParameters": "NoCtldInAddrAny,NoInAddrAny",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        # Without cgroups, which need root, this is how Slurm enforces memory.
        "JobAcctGatherType": "jobacct_gather/linux",
        "JobAcctGatherFrequency": 1,
        "JobAcctGatherParams": "OverMemoryKill",
        "AccountingStorageType": "accounting_storage/none",
        "JobCompType": "jobcomp/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core_Memory",
        "SchedulerParameters": "sched_interval=2,bf_interval=2",
        "PreemptType": "preempt/partition_prio",
        "PreemptMode": "REQUEUE",
        "MpiDefault": "none",
        "MailProg": "/bin/true",
        "ReturnToService": 2,
        "MessageTimeout": 5,
        "SlurmdTimeout": NODE_LOST_SECONDS,
        "KillWait": 2,
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool",
        "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": folder / "slurmd.pid",
        "SlurmctldLogFile": folder / "slurmctld.log",
        "SlurmdLogFile": folder / "slurmd.log",
    }
    written = [f"{name}={value}" for name, value in {**lines, **settings}.items()]
    partitions = [
        f"PartitionName={name} Nodes={host} MaxTime=INFINITE State=UP {how}"
        for name, how in PARTITIONS.items()
    ]
    return "\n".join([*written, f"{node} NodeAddr=127.0.0.1 State=UNKNOWN", *partitions]) + "\n"


@contextlib.contextmanager
def running_sshd(folder: Path, environment: dict[str, str], banner: str = "") -> Iterator[Path]:
    """Start an sshd for this user's new key; yield the client's configuration for host `cluster`.

    `environment` is what a login there gives, as a cluster's profile scripts would; `banner` is what sshd
    itself says to whoever comes.
    """
    require(SSH_PROGRAMS, "openssh-server")
    folder.mkdir(parents=True)
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True, timeout=60
        )
    port = _free_port()
    variables = " ".join(f'{name}="{value}"' for name, value in environment.items())
    (folder / "banner").write_text(banner)
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/sshd.pid\n"
        f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        f"PermitRootLogin prohibit-password\nSetEnv {variables}\nBanner {folder}/banner\n"
    )
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "ssh_config").write_text(
        f"Host cluster\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n"
        f" IdentityFile {folder}/user\n IdentitiesOnly yes\n UserKnownHostsFile {folder}/known\n"
    )
    if os.getuid() == 0:
        # Where sshd, started by root, locks itself in; the service's own start would make it.
        Path("/run/sshd").mkdir(exist_ok=True)
    program = shutil.which("sshd", path=PATH)
    assert program is not None
    process = subprocess.Popen(
        [program, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: _answers(port), "sshd")
        yield folder / "ssh_config"
    finally:
        process.terminate()
        process.wait()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 120.0, pause: float = 0.5) -> None:
    """Wait for `condition`, and fail naming `what` where it does not come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: it did not come about in {seconds:.0f} s"
        time.sleep(pause)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
