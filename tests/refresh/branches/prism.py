"""Prism in front of a forge: what is asked and answered is held against GitHub's OpenAPI description."""

import json
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

# The last Prism that runs on Node 20, and the description of November 2026.
PRISM = "@stoplight/prism-cli@5.14.2"
DESCRIPTION = "@octokit/openapi@23.0.2"
OLDEST_NODE = Version("18.20.1")

_PATHS = ("/repos/{owner}/{repo}/pulls", "/repos/{owner}/{repo}/pulls/{pull_number}")
_REFERENCE = re.compile(r'"#/components/([^/"]+)/([^"/]+)"')


def installed(folder: Path) -> tuple[Path, Path]:
    """Prism's program and the description, from `folder` or through npm into it; skips without."""
    program, description = folder / "node_modules" / ".bin" / "prism", folder / "github.json"
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("Prism needs Node, and there is no node or npm here")
    node = Version(_said("node", "--version").lstrip("v"))
    if node < OLDEST_NODE:
        pytest.skip(f"Prism needs Node {OLDEST_NODE} or newer, here is {node}")
    if not (program.exists() and description.exists()):
        try:
            _said("npm", "view", PRISM, "version")
            words = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder))
            _said("npm", "install", *words, PRISM)
            _take_description(description)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"Prism is not installed yet, and npm's registry does not give it: {error}")
    return program, description


def _take_description(target: Path) -> None:
    """Keep the operations that are asked for, with all they refer to: the whole takes Prism 20 s to read."""
    with tempfile.TemporaryDirectory() as folder:
        name = _said("npm", "pack", "--silent", "--pack-destination", folder, DESCRIPTION)
        with tarfile.open(Path(folder) / name.splitlines()[-1]) as archive:
            member = archive.extractfile("package/generated/api.github.com.json")
            assert member is not None
            whole = json.load(member)
    paths = {path: whole["paths"][path] for path in _PATHS}
    parts: dict[str, dict[str, Any]] = {}
    waiting: list[Any] = [paths]
    while waiting:
        for kind, name in _REFERENCE.findall(json.dumps(waiting.pop())):
            if name not in parts.setdefault(kind, {}):
                parts[kind][name] = whole["components"][kind][name]
                waiting.append(parts[kind][name])
    kept = {key: whole[key] for key in ("openapi", "info", "servers")}
    aside = target.with_suffix(".new")
    aside.write_text(json.dumps({**kept, "paths": paths, "components": parts}))
    aside.replace(target)


def example(description: Path) -> dict[str, Any]:
    """The description's own example of a pull request."""
    value = json.loads(description.read_text())["components"]["examples"]["pull-request"]["value"]
    assert isinstance(value, dict)
    return value


@contextmanager
def validating(program: Path, description: Path, upstream: str) -> Iterator[str]:
    """Run Prism before `upstream`; a request or response that is not as described gets an error from it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(program), "proxy", "--errors", "--port", str(port), str(description), upstream]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        except TimeoutError:
            log.seek(0)
            pytest.fail(f"Prism did not start:\n{log.read()}")
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
        except urllib.error.HTTPError:
            # It is there, and knows no such path.
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError


def _said(*command: str) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    return done.stdout.strip()
