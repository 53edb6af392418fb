"""Records of what a unit has left: what is told of files that were cut off or removed since."""

from __future__ import annotations

from pathlib import Path

import pytest

from xrano.atomic_files import write_json
from xrano.errors import VolumeError
from xrano.experiments.explained_units import is_whole, require_whole_units, write_unit


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    folder = tmp_path / "maps"
    folder.mkdir()
    (folder / "a.nii.gz").write_bytes(bytes(20))
    write_unit(tmp_path, "pair", "ig:zero", "key", [folder / "a.nii.gz"])
    return folder


def test_a_unit_is_whole_while_its_files_are(maps: Path):
    require_whole_units(maps)
    assert is_whole(maps.parent, "pair", "ig:zero", "key")
    assert not is_whole(maps.parent, "pair", "ig:zero", "other")
    (maps / "a.nii.gz").write_bytes(bytes(10))
    assert not is_whole(maps.parent, "pair", "ig:zero", "key")
    with pytest.raises(VolumeError, match=r"a\.nii\.gz has 10 bytes and was finished with 20"):
        require_whole_units(maps)
    (maps / "a.nii.gz").unlink()
    with pytest.raises(VolumeError, match=r"a\.nii\.gz is missing; run xrano explain again"):
        require_whole_units(maps)


def test_maps_of_an_earlier_version_can_be_read_and_are_made_again(maps: Path):
    """Its records name files without sizes: nothing is known of them, and nothing is refused."""
    record = maps.parent / "units" / "pair" / "ig-zero.json"
    write_json(record, {"key": "key", "files": ["maps/a.nii.gz"]})
    require_whole_units(maps)
    assert not is_whole(maps.parent, "pair", "ig:zero", "key")


def test_a_broken_record_is_named(maps: Path):
    (maps.parent / "units" / "pair" / "ig-zero.json").write_text("{")
    with pytest.raises(VolumeError, match=r"ig-zero\.json cannot be read"):
        require_whole_units(maps)
