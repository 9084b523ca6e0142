"""The canary: the newest upstream through the matrix; a library of a new shape is news and no failure."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from matrix.commands.flow import run_matrix
from matrix.commands.matrix import matrix_options
from matrix.ground.errors import EnvironmentFailure, UsageError, exit_code_of
from matrix.ground.files import read_text, write_text
from matrix.prepare.change import UnrecognisedError
from matrix.refresh.branches.forge import open_forge
from matrix.report.ci import notice, summarise

NEWS = "canary-news.md"
TELL = "--tell"

_TITLE = "Canary: upstream's library has a shape that vendoring does not know"
# Who opens issues with the token that a workflow's job is given.
_AUTHOR = "github-actions[bot]"
# A forge takes 65536 characters.
_MOST_CHARACTERS = 30_000

_MACHINE = (
    "The canary came to no result: the machine or the network failed, or it was an error of ours (exit code "
    "3). This says nothing of upstream; run it again."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix as the canary, or with `--tell FILE` take its news to an issue; return the exit code.

    Exit codes are the matrix's, except that a library of a shape that is not known ends with 0: what was
    not recognised is then in the file `canary-news.md` of our working folder, and in CI on the job's page.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == [TELL]:
        return exit_code_of(lambda: tell(words[1:]))
    exit_code = exit_code_of(lambda: watch(words), "interrupted; the same command goes on from here")
    if exit_code == EnvironmentFailure.exit_code:
        summarise(_MACHINE)
        print(_MACHINE, file=sys.stderr)
    return exit_code


def watch(words: Sequence[str]) -> int:
    """Run the matrix in float64 on the newest packages, with these of its options; return the exit code."""
    options = matrix_options(["fp64", "--newest", *words])
    news = options.root / NEWS
    news.unlink(missing_ok=True)
    try:
        return run_matrix(options)
    except UnrecognisedError as error:
        text = _told(error)
        write_text(news, text)
        summarise(text)
        print(f"neutral: {error}\nNo gate was judged. This list is also in {news}.")
        notice("the library's shape is not known", "no gate was judged; the list is on the job's page")
        return 0


def tell(words: Sequence[str]) -> int:
    """Have one open issue of the repository that this workflow runs in say what the file says.

    Raises
    ------
    UsageError
        No file is named or it is not there; this is no workflow's job; the forge says no.
    NetworkError
        The forge does not answer.
    """
    if len(words) != 1:
        raise UsageError(f"{TELL} takes one file, the {NEWS} that the canary left.")
    path = Path(words[0])
    if not path.is_file():
        raise UsageError(f"{TELL}: there is no file {path}.")
    server, repository = os.environ.get("GITHUB_SERVER_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
    if not (server and repository):
        raise UsageError(
            f"{TELL} writes to the repository that a workflow runs in, which GITHUB_SERVER_URL and "
            "GITHUB_REPOSITORY name: they are not set."
        )
    forge = open_forge(f"{server}/{repository}", f"{TELL} needs a token that may write issues")
    kept = forge.keep_issue(_AUTHOR, _TITLE, read_text(path))
    print(f"{kept.done:11s} {kept.url}")
    return 0


def _told(error: UnrecognisedError) -> str:
    """What was not recognised, in Markdown; names of the library's code stay text."""
    listed = "\n".join(f"{problem.where}: {problem.what}" for problem in dict.fromkeys(error.problems))
    if len(listed) > _MOST_CHARACTERS:
        listed = f"{listed[:_MOST_CHARACTERS]}\n… and more, in the job's log"
    indented = "\n".join(f"    {line}" for line in listed.splitlines())
    run = "/".join(os.environ.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
    number = os.environ.get("GITHUB_RUN_ID", "")
    seen = f"\n\nSeen in {run}/actions/runs/{number}." if number else ""
    return (
        "The canary is neutral: no gate was judged, since vendoring does not know the shape of upstream's "
        f"newest library. What was not recognised:\n\n{indented}\n\n"
        "Teach `matrix/prepare/change/` the new shape, with a test. When it is known the canary is green "
        f"again, and this issue may be closed.{seen}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
