"""Secrets: out of what is said and recorded, and out of what other programs are given."""

import os
import re
import sys
from pathlib import Path

import pytest

from matrix.ground import process
from matrix.ground.errors import EnvironmentFailure, UsageError
from matrix.ground.machine import usable_cores
from matrix.ground.redaction import (
    ANY,
    OF_AN_INDEX,
    redact,
    secrets_set_aside,
    without_folders,
    without_secrets,
)

SECRETS = {
    "GH_TOKEN": "s3cret-of-the-forge",
    "GITHUB_TOKEN": "s3cret-of-the-forge",
    "UV_INDEX_OURS_PASSWORD": "s3cret-of-uv",
    "UV_INDEX_URL": "https://ada:s3cret@index.invalid/simple",
    "PIP_EXTRA_INDEX_URL": "https://s3cret@index.invalid/simple",
    "https_proxy": "http://ada:s3cret@proxy.invalid:8080",
    "AWS_SECRET_ACCESS_KEY": "s3cret-of-a-cloud",
    "SSHPASS": "s3cret-of-ssh",
    "MYSQL_PWD": "s3cret-of-a-database",
    "GITLAB_PAT": "s3cret-of-a-forge",
    "NPM_AUTH": "s3cret-of-a-registry",
    "GIT_CONFIG_VALUE_0": "AUTHORIZATION: basic s3cret",
    "INDEX": "https://index.invalid/x?token=s3cret",
    "OURS": f"glpat-{'s3cret' * 4}",
}
HARMLESS = {"PATH": os.environ["PATH"], "REMOTE": "ssh://git@host/x", "UV_CACHE_DIR": "/tmp/x", "A": "a@b:c"}
HARMLESS |= {"PWD": "/tmp", "SSH_AUTH_SOCK": "/tmp/s", "GIT_AUTHOR_NAME": "Ada", "PATTERN": "x?a=b"}
SHOW = [sys.executable, "-c", "import os; print(dict(os.environ))"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://me:s3cret@host/x", "https://***@host/x"),
        ("https://me:s3/cr/et@host/x", "https://***@host/x"),
        ("https://me:s3@cr@et@host/x", "https://***@host/x"),
        ("https://me:s3 cr et@host/x is gone", "https://***@host/x is gone"),
        ("https://me:s3'c\"r:et@host/x", "https://***@host/x"),
        ("https://s3cret@host/x", "https://***@host/x"),
        ("https://:s3cret@host/x", "https://***@host/x"),
        ("git+ssh://me:s3cret@host/x", "git+ssh://***@host/x"),
        (
            "'https://me:s3cret@host/x' and 'https://me:s3cret@host/y'",
            "'https://***@host/x' and 'https://***@host/y'",
        ),
        ("https://host/x?access_token=s3cret&page=2", "https://host/x?access_token=***&page=2"),
        ("https://host/x?a=1&private_token=s3cret", "https://host/x?a=1&private_token=***"),
        ("AUTHORIZATION: basic czNjcmV0", "AUTHORIZATION: ***"),
        ("http.extraheader=Authorization: Bearer s3cret", "http.extraheader=Authorization: ***"),
        ("> PRIVATE-TOKEN: s3cret", "> PRIVATE-TOKEN: ***"),
        (
            "uv pip install --index-url http://me:s3cret@h:80/simple x",
            "uv pip install --index-url http://***@h:80/simple x",
        ),
        ("twine --password s3cret --token=s3cret", "twine --password *** --token=***"),
        ("GH_TOKEN=s3cret gh auth", "GH_TOKEN=*** gh auth"),
        ("--token 's3cret of mine' x", "--token *** x"),
        ("{'authorization': 'Bearer s3cret', 'a': 1}", "{'authorization': '***', 'a': 1}"),
        ('{"password": "s3cret", "a": 1}', '{"password": ***, "a": 1}'),
        ("X-Api-Key: s3cret", "X-Api-Key: ***"),
        ("machine h login ada password s3cret", "machine h login ada password ***"),
        ("https://h/x?X-Amz-Signature=s3cret&a=1", "https://h/x?X-Amz-Signature=***&a=1"),
        (f"denied for hf_{'s3cret' * 6}", "denied for ***"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\ns3cret\n-----END", "***-----END"),
        (f"denied for ghp_{'s3cret' * 6}", "denied for ***"),
        (f"denied for github_pat_{'s3cret' * 6}", "denied for ***"),
    ],
)
def test_secrets_are_taken_out_of_what_is_said(text: str, said: str) -> None:
    assert redact(text) == said
    assert str(EnvironmentFailure(text)) == said
    assert str(UsageError(text)) == said


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/PyAutoLabs/PyAutoArray@main is not there",
        "http://127.0.0.1:8080/x does not answer",
        "git config --global user.email YOU@EXAMPLE.ORG",
        "--open-prs needs a token: put it into GH_TOKEN (or GITHUB_TOKEN), in the environment only",
        "file:///home/me/mirror@2/x.git",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_values_of_our_own_environment_are_secret_wherever_they_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "a-value-without-a-form")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    assert redact("false: the server repeats a-value-without-a-form") == "false: the server repeats ***"


def test_only_what_is_for_a_program_is_given_to_it() -> None:
    everything = {**HARMLESS, **SECRETS}
    assert without_secrets(everything) == HARMLESS
    assert without_secrets(everything, ANY) == everything
    of_an_index = {"UV_INDEX_OURS_PASSWORD", "UV_INDEX_URL", "PIP_EXTRA_INDEX_URL", "https_proxy"}
    assert without_secrets(everything, OF_AN_INDEX).keys() == HARMLESS.keys() | of_an_index


@pytest.mark.parametrize("given", [None, {**HARMLESS, **SECRETS}])
def test_no_program_inherits_a_secret(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str] | None, tmp_path: Path
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    assert "s3cret" not in process.run(SHOW, env=given).stdout
    assert "s3cret-of-uv" in process.run(SHOW, env=given, keep=OF_AN_INDEX).stdout
    assert "of-the-forge" not in process.run(SHOW, env=given, keep=OF_AN_INDEX).stdout
    log = tmp_path / "log.txt"
    words = {"cwd": tmp_path, "log": log, "timeout": 30, "cores": usable_cores()}
    assert process.supervise(SHOW, env={**os.environ, **(given or {})}, **words) == 0  # type: ignore[arg-type]
    assert "s3cret" not in log.read_text()
    assert "PATH" in log.read_text()


def test_secrets_come_back_after_they_were_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GH_TOKEN", "s3cret-of-the-forge")
    with secrets_set_aside():
        assert "GH_TOKEN" not in os.environ
        monkeypatch.setenv("OTHER", "new")
    assert (os.environ["GH_TOKEN"], os.environ["OTHER"]) == ("s3cret-of-the-forge", "new")


def test_a_command_that_takes_too_long_is_named_without_its_secrets() -> None:
    command = ["sh", "-c", "sleep 20", "--index-url", "http://user:pass word@h/simple", "--token", "s3cret"]
    with pytest.raises(EnvironmentFailure, match=r"no end after 0 s: sh .*http://\*\*\*@h/simple") as caught:
        process.run(command, timeout=0.1)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(EnvironmentFailure, match=r"exit 3 from: .*http://\*\*\*@h/simple"):
        process.run(["sh", "-c", "exit 3", "http://user:pass@h/simple"])


def test_the_log_of_a_process_is_a_new_file(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "log.txt").symlink_to(precious)
    words = {"cwd": tmp_path, "env": dict(os.environ), "timeout": 30, "cores": usable_cores()}
    process.supervise(["echo", "x"], log=tmp_path / "log.txt", **words)  # type: ignore[arg-type]
    assert (precious.read_text(), (tmp_path / "log.txt").read_text()) == ("mine", "x\n")


def test_processes_are_started_in_one_place() -> None:
    """But for what runs where none of ours is installed, and what becomes the library's own tests."""
    root = Path(process.__file__).parents[1]
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if re.search(r"subprocess\.\w+\(|Popen\(|os\.(system|exec|posix_spawn)", path.read_text())
        and "templates" not in path.parts
    }
    assert found == {"ground/process.py", "hpc/unpack.py"}


def test_words_stand_for_folders_and_for_nothing_that_begins_alike() -> None:
    places = {Path("/home/ada"): "~", Path("/home/ada/x/.matrix"): ".matrix", Path("/"): "no"}
    text = '"/home/ada/x/.matrix/runs/a", /home/ada/y., /home/adam, /home/ada-2, /etc'
    assert without_folders(text, places) == '".matrix/runs/a", ~/y., /home/adam, /home/ada-2, /etc'
