"""Makes the two environments of a pack, with nothing but the Python that runs this and no network."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

# Of the caller's shell: they would have pip install elsewhere, or something else.
STEERING = ("PIP_", "PYTHON")


def main() -> int:
    """Install beside this file; say how to go on. Done already, it does nothing."""
    here = Path(__file__).resolve().parent
    about = json.loads((here / "pack.json").read_text())
    found = (
        f"{sys.version_info.major}.{sys.version_info.minor}",
        f"{platform.system()} {platform.machine()}",
    )
    if found != (about["python"], about["machine"]):
        print(
            f"error: packed for Python {about['python']} on {about['machine']}, this is Python {found[0]} on "
            f"{found[1]}. Start this with python{about['python']}, or pack again on a machine like this one.",
            file=sys.stderr,
        )
        return 2
    for name, packages in (("driver", ["nnls-validation-matrix"]), ("stack", about["stack"])):
        folder = here / "environments" / name
        ready = folder / "ready"
        if not ready.exists():
            print(f"installing {name} into {folder}", flush=True)
            env = {name: value for name, value in os.environ.items() if not name.startswith(STEERING)}
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, env=env)
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-index"]
            wheels = str(here / "wheels" / name)
            subprocess.run(
                [*pip, "--disable-pip-version-check", "--find-links", wheels, *packages], check=True, env=env
            )
            ready.touch()
    print(
        f"ready. In {here / 'code'}:\n"
        f"  {here}/environments/driver/bin/python -m matrix fp64 "
        f"--base-python {here}/environments/stack/bin/python --source mirror --mirror {here / 'mirror'} "
        f"{' '.join(about['options'])}\n"
        f"For hpc.yaml: driver: {here}/environments/driver/bin/python, "
        f"python: {here}/environments/stack/bin/python"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
