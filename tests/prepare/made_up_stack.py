"""A stack of made-up packages, whose builds record what they see."""

import json
import subprocess

from matrix.prepare import environments
from matrix.prepare.interpreters import Interpreter, interpreters

RELEASE = "2026.7.9.1"

RECORDER = """
import json, os, pathlib, zipfile

def _write(folder, name, version):
    about = f"{name}-{version}.dist-info"
    wheel = pathlib.Path(folder) / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "MARK = 'built from source'")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\nRoot-Is-Purelib: true")
        archive.writestr(f"{about}/RECORD", f"{name}/__init__.py,,\\n{about}/METADATA,,\\n{about}/WHEEL,,\\n")
    return wheel.name

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name, version = pathlib.Path("name.txt").read_text().split()
    seen = dict(os.environ)
    parent = pathlib.Path(f"/proc/{os.getppid()}")
    if parent.is_dir():
        seen["the parent's environment"] = (parent / "environ").read_bytes().decode("utf-8", "replace")
        seen["the parent's words"] = (parent / "cmdline").read_bytes().decode("utf-8", "replace")
    with open(@SEEN@, "a") as record:
        record.write(json.dumps(seen) + "\\n")
    return _write(folder, name, version)
"""


def source(name: str, version: str) -> dict[str, str]:
    return {
        "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "recorder"\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n',
        "name.txt": f"{name} {version}",
    }


def running() -> Interpreter:
    return interpreters()[0]


def installed(environment: environments.SideEnvironment) -> dict[str, str]:
    code = (
        "import importlib.metadata as m, json; "
        "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
    )
    done = subprocess.run([environment.python, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found
