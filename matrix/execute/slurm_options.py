"""Options of sbatch that a person may add to those we set, and why others are refused."""

import re

# What a key of the profile is for.
_BY_KEY = {
    "partition": "partition",
    "account": "account",
    "qos": "qos",
    "constraint": "constraint",
    "gres": "gres",
    "reservation": "reservation",
    "mail-user": "mail_user",
    "mail-type": "mail_user",
    "time": "time",
    "mem": "memory",
    "cpus-per-task": "cpus",
    "requeue": "requeue",
    "no-requeue": "requeue",
}
# What a job of ours rests on: one process, its log, how its end is told, and what sbatch answers.
_OURS = (
    *("array", "job-name", "nodes", "ntasks", "ntasks-per-node", "output", "error", "input", "open-mode"),
    *("signal", "export", "export-file", "get-user-env", "clusters", "wrap", "test-only", "parsable"),
    *("wait", "quiet", "verbose", "help", "usage", "version"),
)
_FORM = re.compile(r"--([a-z][a-z-]*)(?:=(.+))?")
# Half a character, as YAML can spell it, is no text for any program either.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def fault_of(option: str) -> str:
    """What is wrong with an option for sbatch, with the remedy; empty if nothing is."""
    if CONTROL.search(option):
        return "an option is one line, without control characters"
    form = _FORM.fullmatch(option)
    if form is None:
        return "an option is written --name or --name=value"
    # sbatch takes the beginning of a name for the name.
    for name, key in _BY_KEY.items():
        if name.startswith(form[1]):
            return f"--{name} is the key `{key}` of the profile"
    for name in _OURS:
        if name.startswith(form[1]):
            return f"--{name} is ours to set"
    return ""


def split_option(option: str) -> tuple[str, str | bool]:
    """Name and value of an option, True where it has none."""
    name, separator, value = option.removeprefix("--").partition("=")
    return name, value if separator else True
