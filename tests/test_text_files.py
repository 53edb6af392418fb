from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from xrano.text_files import (
    LARGEST_YAML,
    MOST_VALUES,
    is_cut_off,
    parse_yaml,
    read_json,
    read_yaml,
)

ORDINARY = """
store: ../store
base: &base {epochs: 3, rate: 1.5e-3, name: "a: b", none: ~, flag: yes, date: 2019-05-17}
arms:
  - <<: *base
    epochs: 4
  - [*base, 0x1F, 1_000, .inf]
"""


def test_ordinary_files_are_what_the_libraries_make_of_them(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(ORDINARY)
    assert read_yaml(tmp_path / "a.yaml") == yaml.safe_load(ORDINARY)
    value = {"a": [1, 2.5, None, True, "ä"], "b": {}}
    (tmp_path / "a.json").write_text(json.dumps(value))
    assert read_json(tmp_path / "a.json") == value
    assert parse_yaml("") is None


def test_presets_and_studies_that_come_with_xrano_are_read(tmp_path: Path):
    root = Path(__file__).parent.parent
    files = [*(root / "xrano" / "presets").glob("*.yaml"), *(root / "studies").glob("*.yaml")]
    for path in files:
        assert read_yaml(path) == yaml.safe_load(path.read_text(encoding="utf-8"))
    assert files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [*a]", "a value holds itself"),
        ("[" * 5000, "nested too deeply"),
        ("a: [", "while parsing|expected"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("a: " + "9" * 41, "a number has 41 signs"),
        ("a: 2019-13-45\nb: 2019-99-99", "month must be in"),
        ("a: !!int ''", "string index out of range"),
        ("a: !!timestamp ''", "groupdict"),
        ("? [1]\n: 2", "unhashable"),
        ("a\0b", "unacceptable character|special characters"),
    ],
)
def test_what_is_wrong_is_a_value_error_in_a_line(text: str, message: str):
    with pytest.raises(ValueError, match=message) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)


def test_aliases_count_as_what_they_repeat():
    def laughs(levels: int) -> str:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
        return "\n".join(lines)

    assert len(parse_yaml(laughs(4))["a3"]) == 10
    with pytest.raises(ValueError, match=f"more than {MOST_VALUES:,} values"):
        parse_yaml(laughs(5))


def test_large_files_and_other_encodings_are_refused(tmp_path: Path):
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (LARGEST_YAML + 1))
    with pytest.raises(ValueError, match="more than 1,048,576 bytes"):
        read_yaml(path)
    path.write_bytes(b"\x80")
    for read in (read_yaml, read_json):
        with pytest.raises(ValueError, match="utf-8"):
            read(path)
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "none")


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"a,b\n1,2\n", False), (b"\n", False), (b"a,b\n1,", True), (b"a,b", True), (b"", True)],
)
def test_what_was_cut_off_has_no_end(tmp_path: Path, content: bytes, expected: bool):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    assert is_cut_off(path) is expected
