"""Operations of a compiled program, counted in the text that XLA prints of it."""

import re
from collections import Counter

# A name, its shape (which may hold blanks, braces and comments), the operation, its operands and the rest.
INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?[\w.\-]+ = (.*?[\s)}\]])([a-z][a-z0-9\-]*)\((.*)$")
TARGET = re.compile(r'custom_call_target="([^"]+)"')
_FRAME = re.compile(r"\bstack_frame_id=(\d+)")
_NAME = re.compile(r'\bop_name="([^"]*)"')
_FILE = re.compile(r'\bsource_file="(?:[^"]*/)?([^"/]+)"')

# What a routine or an operation counts as, by part of its name: LAPACK and BLAS, cuSOLVER and cuBLAS.
KINDS = {
    "Cholesky": ("potrf", "cholesky"),
    "triangular solve": ("trsm", "triangular"),
    "LU": ("getrf", "lu_pivots"),
    "eigenvalues": ("syevd", "eigh"),
    "callback": ("callback",),
}
LOOPS = {
    "while": "while loop",
    "conditional": "branch",
    "fft": "FFT",
    "dot": "matrix product",
    "sort": "sort",
}


def operations(text: str) -> Counter[str]:
    """Count the instructions of a program by operation, custom calls by their target.

    Parameters
    ----------
    text
        From `jax.stages.Compiled.as_text()`. A loop's body counts once, however often it runs.
    """
    found: Counter[str] = Counter()
    for line in text.splitlines():
        match = INSTRUCTION.match(line)
        if match:
            target = TARGET.search(line)
            found[f"custom-call {target[1]}" if target else match[2]] += 1
    return found


def kinds(counted: Counter[str]) -> dict[str, int]:
    """Sum operations into the kinds that matter here, each there even if it is zero."""
    result = dict.fromkeys((*KINDS, *LOOPS.values()), 0)
    for name, count in counted.items():
        for kind, parts in KINDS.items():
            if any(part in name.lower() for part in parts):
                result[kind] += count
        if name in LOOPS:
            result[LOOPS[name]] += count
    return result


def instructions_from(text: str, word: str) -> int:
    """Count the instructions that code with `word` in the name of its file, function or scope gave rise to.

    XLA names, per instruction, the compiled functions and scopes around it and a source file or, in newer
    versions, a stack frame whose tables head the text. Code that such code calls is counted only where it is
    compiled with it.
    """
    frames = _frames_with(text, word)
    found = 0
    for line in text.splitlines():
        frame, file, name = _FRAME.search(line), _FILE.search(line), _NAME.search(line)
        found += bool(INSTRUCTION.match(line)) and bool(
            (frame and frame[1] in frames) or (file and word in file[1]) or (name and word in name[1])
        )
    return found


def _frames_with(text: str, word: str) -> set[str]:
    tables = {"file_name": _table(text, "FileNames"), "function_name": _table(text, "FunctionNames")}
    named = {
        (kind, number)
        for kind, table in tables.items()
        for number, name in table.items()
        # Of a path only the file's own name: a folder may be called anything.
        if word in name.rpartition("/")[2]
    }
    places = {
        number
        for number, entry in _table(text, "FileLocations").items()
        if any((kind, _field(entry, f"{kind}_id")) in named for kind in ("file_name", "function_name"))
    }
    frames = _table(text, "StackFrames")
    return {number for number, entry in frames.items() if _field(entry, "file_location_id") in places}


def _table(text: str, heading: str) -> dict[str, str]:
    lines = text.partition(f"\n{heading}\n")[2].split("\n\n", 1)[0].splitlines()
    return dict(line.split(" ", 1) for line in lines if line[:1].isdigit())


def _field(entry: str, name: str) -> str:
    match = re.search(rf"\b{name}=(\d+)", entry)
    return match[1] if match else ""
