"""`hpc.yaml`: what is wrong is said with file, key and remedy."""

from pathlib import Path

import pytest

from matrix.ground.errors import UsageError
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.hpc.profile import load_profile

GOOD = "root: /scratch/me/nnls, driver: /opt/driver/bin/python, python: /opt/stack/bin/python"


def written(folder: Path, text: str) -> Path:
    path = folder / "hpc.yaml"
    path.write_text(text)
    return path


def test_only_profile_needs_no_name(tmp_path: Path) -> None:
    name, profile = load_profile(written(tmp_path, f"profiles: {{here: {{{GOOD}}}}}"), None)
    assert (name, profile.host, profile.root) == ("here", None, "/scratch/me/nnls")


def test_our_own_file_is_valid() -> None:
    name, profile = load_profile(REPOSITORY_ROOT / "hpc.yaml", "a100")
    assert name == "a100"
    assert profile.accelerator == "cuda12"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("profiles: [", "not YAML"),
        ("profiles: {a: {}}", "profiles.a.root: this key is missing. Expected: absolute folder"),
        (
            f"profiles: {{a: {{{GOOD}, tiem: 3}}}}",
            "hpc.yaml:1: profiles.a.tiem: unknown key. Did you mean 'time'? Known: host,",
        ),
        (
            f"profiles: {{a: {{{GOOD}, time: soon}}}}",
            "profiles.a.time: 'soon' will not do: Input should be a valid integer. Expected: minutes",
        ),
        (f"profiles: {{a: {{{GOOD}, time: 0}}}}", "Expected: minutes per cell"),
        ("profiles: {a: {root: here, driver: /a, python: /b}}", "profiles.a.root: a path begins with /"),
        (f"profiles: {{a: {{{GOOD}}}, b: {{{GOOD}}}}}", "choose with --profile NAME. Known: a, b."),
        ("profile: {}", "this key is missing. Expected: mapping"),
        ("", "this must be a mapping that begins with `profiles: "),
        *(
            (f"profiles: {{a: {{{GOOD}, {key}: {value}}}}}", f"profiles.a.{key}: ")
            for key, value in (
                ("host", "-oProxyCommand=x"),
                ("host", "a b"),
                ("host", '"a\\nb"'),
                ("ssh_config", "-x"),
                ("partition", "--wrap=x"),
                ("account", '"a\\nb"'),
                ("qos", '""'),
                ("constraint", '"a\\u2028b"'),
                ("gres", "-1"),
                ("memory", ".inf"),
                ("memory", ".nan"),
                ("memory", "true"),
                ("memory", "1e300"),
                ("time", "true"),
                ("time", "1.5"),
                ("time", "9" * 400),
                ("cpus", "'2'"),
                ("parallel", "-1"),
            )
        ),
        (f'profiles: {{a: {{{GOOD}, setup: ["module load x", "a\\nb"]}}}}', "profiles.a.setup[1]: "),
        *(
            (f"profiles: {{a: {{root: {root}, driver: /a, python: /b}}}}", "profiles.a.root: ")
            for root in ("/", "//", "/./", "/a/../b", '"/a\\n"', "-/a", "/a b", "~/a")
        ),
        ("profiles: {a: {root: /a, driver: /b, python: '/c\\n'}}".replace("'", '"'), "profiles.a.python: "),
        ("profiles: " + "[" * 20000, "nested too deeply"),
        ("profiles: !!timestamp nonsense", "not YAML"),
        ("profiles: !!int nonsense", "not YAML"),
    ],
)
def test_fault_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as raised:
        load_profile(path, None)
    assert str(path) in str(raised.value)
    assert says in str(raised.value)


def test_missing_file_and_unknown_profile(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_profile(tmp_path / "none.yaml", None)
    with pytest.raises(UsageError, match="no such profile"):
        load_profile(written(tmp_path, f"profiles: {{a: {{{GOOD}}}}}"), "b")


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "hpc.yaml"
    path.write_bytes(b"profiles: \xff")
    with pytest.raises(UsageError, match="UTF-8"):
        load_profile(path, None)


def test_a_fault_is_a_line_whatever_stands_for_its_value(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{one}: &{one} [{', '.join([f'*{before}'] * 9)}]"
        for before, one in zip("abcdefg", "bcdefgh", strict=True)
    ]
    with pytest.raises(UsageError) as caught:
        load_profile(written(tmp_path, "\n".join([*lines, "profiles: *h"])), None)
    assert len(str(caught.value)) < 2000
