"""Secrets: taken out of what is printed, logged or recorded, and out of what other programs inherit."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

HIDDEN = "***"

# The variables a kind of program needs although they hold secrets, by how their names begin. Git needs any,
# uv and pip those that name an index or a proxy on the way to it, everything else none.
ANY = ("",)
OF_AN_INDEX = ("UV_", "PIP_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")

_SECRET_NAME = re.compile(
    r"TOKEN|PASSWORD|PASSWD|PASSPHRASE|PASS$|_PWD$|SECRET|CREDENTIAL|AUTH(_?CONFIG)?$|BEARER|COOKIE|WEBHOOK|"
    r"(^|_)PAT$|(API|ACCESS|PRIVATE|SIGNING|ENCRYPTION|SSH|DEPLOY)_?KEY",
    re.IGNORECASE,
)
_SECRET_ADDRESS = r"https?://[^/\s]*@|\w://[^/\s:@]*:(?:(?!://).)*@"
# A token or a key that is known as such wherever it stands.
_KNOWN_FORM = (
    r"\b(?:gh[a-z]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|pypi-[\w-]{32,}|hf_\w{30,}|sk-[\w-]{20,}|"
    r"xox[a-z]-[\w-]{10,}|AKIA\w{16}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+)|"
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*"
)
# Shorter values are words of their own, as "true", and stand anywhere.
_SHORTEST = 8

_NAME = r"[\w-]*(?:token|passw(?:or)?d|passphrase|secret|credential|signature|api[_-]?key|access_?key|_auth)"
# A value in quotes may have blanks.
_VALUE = r"""(?:'[^'\n]*'|"[^"\n]*"|[^\s&'"]+)"""
_HEADER = r"(?:authorization|cookie|x-api-key|(?:x|private|job|deploy)[\w-]*-token)"
_PATTERNS = (
    # After `USER:` everything up to the line's last @ is the password, whatever is in it.
    (r"(\w://)[^\s/:@'\"]*:(?:(?!://).)*@", r"\1***@"),
    (r"(\w://)[^\s/'\"]*@", r"\1***@"),
    (rf"([?&;](?:{_NAME}|auth|key|pwd|sig)=)[^\s&#'\"]*", r"\1***"),
    (rf"({_HEADER}['\"]?\s*[:=]\s*['\"]?)[^\n'\"]+", r"\1***"),
    (rf"(['\"]{_NAME}['\"]\s*:\s*){_VALUE}", r"\1***"),
    (rf"(\b{_NAME}\s?=\s?|--{_NAME}\s+|\bpassword: (?=\S+$)|\slogin \S+ password ){_VALUE}", r"\1***"),
    (_KNOWN_FORM, HIDDEN),
)
_REPLACED = tuple((re.compile(pattern, re.IGNORECASE | re.MULTILINE), by) for pattern, by in _PATTERNS)
_SECRET_VALUE = re.compile(
    rf"{_SECRET_ADDRESS}|{_HEADER}\s*[:=]|[?&;]{_NAME}=|{_KNOWN_FORM}", re.DOTALL | re.IGNORECASE
)


def redact(text: str) -> str:
    """Return `text` without secrets.

    Taken out are user and password of every address, tokens in a query, in a header, as an option or by
    their own form, and the value of every variable of our environment whose name says that it is secret.
    """
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and _SECRET_NAME.search(name):
            text = text.replace(value, HIDDEN)
    for pattern, by in _REPLACED:
        text = pattern.sub(by, text)
    return text


def without_secrets(variables: Mapping[str, str], keep: Sequence[str] = ()) -> dict[str, str]:
    """Return the variables that hold no secret, and those whose names begin like one of `keep`.

    A secret is what is named like one, an address with a password or a token in it, or a token by its form.
    """
    kept = tuple(keep)
    return {
        name: value
        for name, value in variables.items()
        if name.upper().startswith(kept) or not (_SECRET_NAME.search(name) or _SECRET_VALUE.search(value))
    }


@contextmanager
def secrets_set_aside(keep: Sequence[str] = ()) -> Iterator[None]:
    """Take secrets out of our own environment while the body starts processes that inherit it.

    Parameters
    ----------
    keep
        As for `without_secrets`.
    """
    before = dict(os.environ)
    for name in before.keys() - without_secrets(before, keep).keys():
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update({name: value for name, value in before.items() if name not in os.environ})


def without_folders(text: str, places: Mapping[Path, str]) -> str:
    """Return a text in which words stand for folders of this machine.

    Parameters
    ----------
    places
        Folder to word. Of two that fit the deeper one counts, and each only where its name ends.
    """
    words = {str(place): word for place, word in places.items() if place.is_absolute() and place.name}
    if not words:
        return text
    longest_first = "|".join(re.escape(place) for place in sorted(words, key=len, reverse=True))
    return re.sub(rf"({longest_first})(?![\w-])", lambda found: words[found[1]], text)
