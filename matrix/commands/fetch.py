"""`python -m matrix.commands.fetch`: the repositories and the candidate, nothing of theirs run."""

import sys
from collections.abc import Sequence

from matrix.commands.matrix import matrix_options
from matrix.ground.console import open_console
from matrix.ground.errors import UsageError, exit_code_of
from matrix.ground.layout import SOLVER, open_layout
from matrix.prepare.change import vendor_library
from matrix.prepare.checkout import candidate_of, commit_candidate
from matrix.prepare.environments import Recipe
from matrix.prepare.manifest import Role, SourceKind
from matrix.prepare.sides import announced_source, check_out, manifest_for


def main(arguments: Sequence[str] | None = None) -> int:
    """Check out what a session with these options would; return the exit code (0 done, 2 or 3 as there)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return exit_code_of(lambda: _fetch(words))


def _fetch(words: Sequence[str]) -> int:
    console = open_console()
    options = matrix_options(words)
    manifest = manifest_for(options)
    source = announced_source(console, manifest)
    if source.kind is SourceKind.EMBEDDED:
        raise UsageError("the embedded stand-ins are made by running their code: give --source git or mirror")
    recipe = Recipe(manifest.release, options.accelerator)
    _, checkouts = check_out(console, open_layout(options.root), manifest, source, recipe, options)
    library = checkouts[manifest.of_role(Role.LIBRARY).name]
    with candidate_of(library) as tree:
        vendor_library(tree.path, SOLVER)
        candidate = commit_candidate(tree, manifest.branch, "Vendor the NNLS solver")
    for checkout in (*checkouts.values(), candidate):
        console.print(
            f"checkout    {checkout.name} {checkout.purpose} {checkout.commit[:12]} ({checkout.ref})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
