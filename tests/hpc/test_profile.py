"""`hpc.yaml`: what is wrong is said with file, key and remedy."""

import re
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


def test_the_example_of_a_site_is_valid(tmp_path: Path) -> None:
    page = (REPOSITORY_ROOT / "docs" / "runners.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if "profiles:" in block]
    _, profile = load_profile(written(tmp_path, block), "site")
    assert (profile.time, profile.memory, profile.multiplex) == (90, None, True)
    assert set(profile.variables) == {"SCRATCH", "HOME"}


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
                ("time", "1-2-3"),
                ("time", "1:2:3:4"),
                ("time", "0:00"),
                ("multiplex", "1"),
                ("tmpdir", "local"),
                ("tmpdir", "'$(x)/y'"),
                ("launch", "'a \"b'"),
                ("mail_user", "--x"),
                ("time", "9" * 400),
                ("cpus", "'2'"),
                ("parallel", "-1"),
            )
        ),
        (f'profiles: {{a: {{{GOOD}, setup: ["module load x", "a\\nb"]}}}}', "profiles.a.setup[1]: "),
        *(
            (f"profiles: {{a: {{root: {root}, driver: /a, python: /b}}}}", "profiles.a.root: ")
            for root in (
                "/",
                "//",
                "/./",
                "/a/../b",
                '"/a\\n"',
                "-/a",
                "/a b",
                "~/",
                "$S/",
                "$S//",
                '"/a\\ud800"',
                "~a/b",
                "~",
                "$S",
                "$1/a",
                "/a$(b)",
                "$S/..",
            )
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


@pytest.mark.parametrize(
    ("written_as", "minutes"),
    [
        *(("30", 30), ("'30'", 30), ("'30:00'", 30), ("30:30", 31), ("1:30:00", 90), ("00:00:01", 1)),
        *(("2-0", 2880), ("1-12", 2160), ("1-12:30", 2190), ("0-01:00:30", 61)),
    ],
)
def test_a_time_is_what_slurm_takes_for_one(tmp_path: Path, written_as: str, minutes: int) -> None:
    path = written(tmp_path, f"profiles: {{a: {{{GOOD}, time: {written_as}}}}}")
    assert load_profile(path, None)[1].time == minutes


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--partition=x", "the key `partition`"),
        ("--parti=x", "the key `partition`"),
        ("--mem=4G", "the key `memory`"),
        ("--array=0-9", "ours to set"),
        ("--wrap=x", "ours to set"),
        ("--test-only", "ours to set"),
        ("--ntasks=4", "ours to set"),
        ("-n4", "--name=value"),
        ("exclude=x", "--name=value"),
        ('"--comment=a\\n#SBATCH --array=0-9"', "one line"),
    ],
)
def test_an_option_that_we_set_is_refused(tmp_path: Path, option: str, says: str) -> None:
    path = written(tmp_path, f"profiles: {{a: {{{GOOD}, sbatch: [{option}]}}}}")
    with pytest.raises(UsageError, match=r"profiles\.a\.sbatch\[0\]: ") as raised:
        load_profile(path, None)
    assert says in str(raised.value)


def test_folders_are_filled_in_with_what_variables_hold_over_there(tmp_path: Path) -> None:
    text = "root: $WORK/nnls, driver: ~/d/bin/python, python: '${WORK}x/python', launch: run '$IMG/a b.sif'"
    profile = load_profile(written(tmp_path, f"profiles: {{a: {{{text}}}}}"), None)[1]
    assert set(profile.variables) == {"WORK", "IMG", "HOME"}
    filled = profile.expanded({"WORK": "/w", "IMG": "/i", "HOME": "/home/me"})
    assert (filled.root, filled.driver, filled.python) == ("/w/nnls", "/home/me/d/bin/python", "/wx/python")
    assert filled.launched == ("run", "/i/a b.sif")


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
