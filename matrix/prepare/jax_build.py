"""Which build of JAX fits this machine's GPUs; run as a program it prints it, or nothing without one."""

import re

from matrix.ground.machine import accelerators

# What JAX asks of the NVIDIA driver, by its build, the newest first.
OLDEST_DRIVER = {"cuda13": 580, "cuda12": 525}


def builds_for(driver: str) -> tuple[str, ...] | None:
    """The builds that a driver of this version can carry, the newest first; None if it is no version."""
    version = re.fullmatch(r"(\d+)(?:\.\d+)+", driver.strip())
    if version is None:
        return None
    return tuple(build for build, oldest in OLDEST_DRIVER.items() if int(version[1]) >= oldest)


def main() -> None:
    """Print the newest build that the first GPU's driver can carry."""
    found = accelerators()
    builds = builds_for(found[0].get("driver_version", "")) if found else None
    if builds:
        print(builds[0])


if __name__ == "__main__":
    main()
