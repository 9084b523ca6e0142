"""A session's help, and names that are not known."""

import pytest

from matrix.ground.options import SessionParser, one_of


def test_help_has_sentence_example_and_options_in_this_order() -> None:
    parser = SessionParser("probe", "Time every step.", "imaging-mge")
    parser.add_argument("--side", help="which one")
    said = parser.format_help()
    assert said.startswith("Time every step.\n\n    nox -s probe -- imaging-mge\n\nusage: nox -s probe -- ")
    assert "which one" in said
    assert SessionParser("trend", "All runs.").format_help().startswith("All runs.\n\n    nox -s trend\n\n")


def test_mistyped_name_is_answered_with_the_nearest_and_all(capsys: pytest.CaptureFixture[str]) -> None:
    parser = SessionParser("probe", "Time every step.")
    parser.add_argument("--only", type=one_of("pipeline", ("imaging-mge", "imaging-delaunay")))
    assert parser.parse_args(["--only", "imaging-mge"]).only == "imaging-mge"
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--only", "imaging-mg"])
    said = capsys.readouterr().err
    assert "there is no pipeline 'imaging-mg'. Did you mean 'imaging-mge'?" in said
    assert "Known: imaging-mge, imaging-delaunay." in said


def test_mistyped_choice_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    parser = SessionParser("probe", "Time every step.")
    parser.add_argument("--scale", choices=("production", "smoke"))
    assert parser.parse_args(["--scale", "smoke"]).scale == "smoke"
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--scale", "smok"])
    assert "there is no scale 'smok'. Did you mean 'smoke'?" in capsys.readouterr().err


def test_mistyped_option_is_no_abbreviation_and_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser = SessionParser("probe", "Time every step.")
    parser.add_argument("--only")
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--onl", "x"])
    assert "this means nothing here: --onl x. Did you mean '--only'?" in capsys.readouterr().err
