"""Plain values as a person means them, and where in a text they stand."""

import pytest

from matrix.ground.yaml_text import NotYamlError, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E4", 1e4),
        ("-1.5e+3", -1500.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("30", 30),
        ("-0", 0),
        ("0x1F", 31),
        ("true", True),
        ("~", None),
        ("", None),
        # Words, in YAML of today; and digits that two readers would take for two numbers.
        *((word, word) for word in ("on", "yes", "n", "1:30", "1_000", "010", "0e5x", "1e", "e5", ".")),
    ],
)
def test_plain_values_are_those_of_today(text: str, value: object) -> None:
    found = parse_yaml(text).value
    assert (found, type(found)) == (value, type(value))


def test_a_key_is_there_once_unless_it_is_merged_in() -> None:
    merged = "base: &b {x: 1, y: 2}\nmore: {<<: *b, x: 3}"
    assert parse_yaml(merged).value["more"] == {"x": 3, "y": 2}
    with pytest.raises(NotYamlError, match="Keep one of the two") as raised:
        parse_yaml("a:\n  x: 1\n  'x': 2")
    assert raised.value.place == ":3"


def test_lines_and_comments() -> None:
    document = parse_yaml("a:\n  - b   # why\n  - c: 1\n    d: 2\n# end")
    assert [document.line(way) for way in ((), ("a",), ("a", 1), ("a", 1, "d"), ("a", 1, "x"))] == [
        1,
        1,
        3,
        4,
        3,
    ]
    assert (document.comment(("a", 0)), document.comment(("a", 1, "d"))) == ("why", "")


def test_a_second_document_is_refused() -> None:
    with pytest.raises(NotYamlError, match="not YAML: but found another document"):
        parse_yaml("a: 1\n---\nb: 2")
