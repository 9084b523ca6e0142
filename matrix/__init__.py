"""The NNLS validation matrix: baseline against candidate on the six likelihood pipelines."""

import os
import sys
import traceback
from types import TracebackType

_AN_ERROR_OF_OURS = 3


def _end_with_three(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """Say what escaped and end with 3: Python itself would end with 1, which is a gate's word alone."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, where)
        return
    from matrix.ground.redaction import redact

    print(redact("".join(traceback.format_exception(kind, error, where))), file=sys.stderr)
    print(
        "error: an error of ours, which says nothing of what was run. If a package is missing, start the "
        "nox session again. Otherwise please report the lines above.",
        file=sys.stderr,
    )
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_AN_ERROR_OF_OURS)


# So a program is called while Python looks for what `-m` names. It is one of ours then, also where one of its
# imports fails; whoever else imports us keeps their own hook.
if sys.argv[:1] == ["-m"]:
    sys.excepthook = _end_with_three
