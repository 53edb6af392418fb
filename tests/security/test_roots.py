"""Folders that bound what is read: links that leave a dataset, and what an index or store says."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from atlas_cohort import write_atlas_cohort
from small_volumes import write_image

from xrano.cli.main import main
from xrano.data.datasets.manifest import read_index
from xrano.data.image_roots import ROOTS, outside_note, read_roots, write_roots
from xrano.data.index import index_cohort
from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.errors import ManifestError, VolumeError
from xrano.experiments.scan_place import scan_place
from xrano.roots import bounds_nothing
from xrano.training.run import Run, open_run

SESSIONS = "session_id\tdays\trating\nses-1\t0\t\nses-2\t84\tPD\nses-3\t170\tSD\n"


def linked(root: Path, *targets: Path) -> Path:
    """A BIDS dataset whose sessions' scans are links to files elsewhere."""
    for number, target in enumerate(targets, start=1):
        name = f"sub-01_ses-{number}_T1w.nii.gz"
        path = root / "sub-01" / f"ses-{number}" / "anat" / name
        path.parent.mkdir(parents=True)
        path.symlink_to(target)
    (root / "sub-01" / "sub-01_sessions.tsv").write_text(SESSIONS)
    return root


@pytest.fixture
def homes(tmp_path: Path) -> list[Path]:
    """Scans of three people, none of them in the dataset."""
    return [write_image(tmp_path / "home" / name / "T1.nii.gz") for name in ("a", "b", "c")]


def also(index: Path) -> list[str]:
    return json.loads((index / "index.json").read_text())["also"]


# --- links that leave a dataset


def test_links_that_leave_a_dataset_are_told_with_count_and_folders(homes, tmp_path: Path):
    summary = index_cohort(linked(tmp_path / "bids", *homes), tmp_path / "index")
    notes = [note for note in summary.notes if "outside of" in note]
    folders = ", ".join(str(home.parent) for home in homes)
    told = f"outside of {tmp_path / 'bids'} once links are followed: in {folders}"
    assert notes == [f"3 images lie {told}"]
    assert notes[0] in summary.describe()


def test_each_folder_is_recorded_and_never_the_one_that_holds_others(homes, tmp_path: Path):
    index_cohort(linked(tmp_path / "bids", *homes[:2]), tmp_path / "index")
    assert also(tmp_path / "index") == ["../home/a", "../home/b"]
    sessions, _ = read_index(tmp_path / "index")
    assert len(sessions) == 3
    # Nobody else's: the table, changed afterwards, does not lead there.
    path = tmp_path / "index" / "sessions.csv"
    text = path.read_text()
    assert "sub-01_ses-1_T1w.nii.gz" in text
    path.write_text(text.replace("../bids/sub-01/ses-1/anat/sub-01_ses-1_T1w", "../home/c/T1"))
    with pytest.raises(ManifestError, match=r"home/c/T1\.nii\.gz, outside of"):
        read_index(tmp_path / "index")


def test_links_within_a_dataset_are_nothing_to_tell(tmp_path: Path):
    # As DataLad keeps its files.
    root = tmp_path / "bids"
    kept = [write_image(root / ".git" / "annex" / f"key-{n}.nii.gz") for n in range(3)]
    summary = index_cohort(linked(root, *kept), tmp_path / "index")
    assert summary.sequences["T1"] == 3
    assert not [note for note in summary.notes if "outside of" in note]
    assert also(tmp_path / "index") == []


def test_a_dataset_whose_folder_is_itself_a_link_is_inside(homes, tmp_path: Path):
    linked(tmp_path / "real", *homes[:1]).joinpath("sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz")
    shutil.rmtree(tmp_path / "real" / "sub-01" / "ses-1")
    write_image(tmp_path / "real" / "sub-01" / "ses-2" / "anat" / "sub-01_ses-2_T1w.nii.gz")
    (tmp_path / "link").symlink_to("real")
    summary = index_cohort(tmp_path / "link", tmp_path / "index")
    assert not [note for note in summary.notes if "outside of" in note]
    assert also(tmp_path / "index") == []


@pytest.mark.parametrize(
    "content", [b"root:x:0:0:root:/root:/bin/bash\n", gzip.compress(b"-----BEGIN KEY-----" * 40)]
)
def test_a_link_to_what_is_no_image_is_refused(homes, tmp_path: Path, content: bytes):
    secret = tmp_path / "home" / "a" / "secret"
    secret.write_bytes(content)
    root = linked(tmp_path / "bids", secret, homes[1])
    with pytest.raises(ManifestError, match=r"leads to .*/home/a/secret, outside of .*no NIfTI"):
        index_cohort(root, tmp_path / "index")
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("content", [b"", b"/annex/objects/MD5E-s3--0.nii.gz\n"])
def test_what_was_not_fetched_yet_stops_no_index(homes, tmp_path: Path, content: bytes):
    (tmp_path / "home" / "a" / "T1.nii.gz").write_bytes(content)
    root = linked(tmp_path / "bids", *homes)
    assert index_cohort(root, tmp_path / "index").sequences["T1"] == 3


def test_many_folders_are_told_in_a_line(tmp_path: Path):
    images = [f"/scratch/cohort/P{number:03}/T1.nii.gz" for number in range(600)]
    note = outside_note(Path("/data/cohort"), images)
    assert "in 600 folders below /scratch/cohort, such as /scratch/cohort/P000" in note
    assert len(note) < 200


def test_thousands_of_recorded_folders_take_no_longer_than_one(tmp_path: Path, monkeypatch):
    # Every path is resolved once, and not once a root.
    folders = [tmp_path / "disk" / f"{number}" for number in range(300)]
    rows = [
        {"patient_id": "P", "session_id": f"s{n}", "week": n, "rating": "", "T1": f"{one}/T1.nii"}
        for n, one in enumerate(folders)
    ]
    (tmp_path / "index").mkdir()
    pd.DataFrame(rows).to_csv(tmp_path / "index" / "sessions.csv", index=False)
    record = {"root": "../disk/none", "also": [str(folder) for folder in folders]}
    (tmp_path / "index" / "index.json").write_text(json.dumps(record))
    asked: list[str] = []
    real = os.path.realpath

    def counted(path, **options):
        asked.append(str(path))
        return real(path, **options)

    monkeypatch.setattr(os.path, "realpath", counted)
    assert len(read_index(tmp_path / "index")[0]) == 300
    assert len(asked) < 3000


# --- what index.json names


@pytest.mark.parametrize("root", ["/etc", "/etc/ssh", "/home", "/proc", "/usr", "/tmp", "/var"])
@pytest.mark.parametrize("name", ["root", "also"])
def test_a_folder_that_holds_far_more_than_a_cohort_is_no_root(tmp_path: Path, root, name):
    index = linked(tmp_path / "bids", write_image(tmp_path / "bids" / "x.nii.gz"))
    index_cohort(index, tmp_path / "index")
    record = json.loads((tmp_path / "index" / "index.json").read_text())
    more = {"root": root} if name == "root" else {"also": [root]}
    (tmp_path / "index" / "index.json").write_text(json.dumps({**record, **more}))
    with pytest.raises(ManifestError, match=r"index\.json names .* far more .*--allow-outside"):
        read_index(tmp_path / "index")
    assert len(read_index(tmp_path / "index", allow_outside=True)[0]) == 3


def test_folders_of_data_bound_something_and_those_above_a_home_do_not(monkeypatch):
    monkeypatch.setenv("HOME", "/nfs/people/somebody")
    assert bounds_nothing(Path("/nfs/people"))
    assert bounds_nothing(Path("/nfs"))
    for data in ("/nfs/people/somebody", "/data", "/scratch", "/mnt/disk", "/home/x", "/tmp/x"):
        assert not bounds_nothing(Path(data)), data


@pytest.fixture
def moved_cohort(tmp_path: Path) -> Path:
    """An index beside its data."""
    write_atlas_cohort(tmp_path / "data")
    root = tmp_path / "data"
    index_cohort(root, tmp_path / "index", dataset="manifest")
    return tmp_path / "index"


def test_preparing_tells_where_images_were_read_from(moved_cohort: Path, tmp_path: Path, capsys):
    cohort = prepare_index(moved_cohort, tmp_path / "store", PrepareSettings())
    assert cohort.roots == (tmp_path / "data",)
    assert f"images read from {tmp_path / 'data'}" in cohort.describe(tmp_path / "store")
    assert main(["prepare", str(moved_cohort), "--out", str(tmp_path / "store"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["roots"] == [str(tmp_path / "data")]
    # Tables beside their images have nothing to tell.
    assert prepare_index(tmp_path / "data", tmp_path / "own", PrepareSettings()).roots == ()


def test_a_store_says_where_its_images_lie(moved_cohort: Path, tmp_path: Path):
    prepare_index(moved_cohort, tmp_path / "store", PrepareSettings())
    assert json.loads((tmp_path / "store" / ROOTS).read_text()) == ["../data"]
    assert read_roots(tmp_path / "store") == {tmp_path / "data"}
    # Allowed to lie anywhere, they lie in their very folders.
    (moved_cohort / "index.json").unlink()
    prepare_index(moved_cohort, tmp_path / "more", PrepareSettings(), allow_outside=True)
    assert all(root.is_relative_to(tmp_path / "data") for root in read_roots(tmp_path / "more"))
    assert tmp_path / "data" not in read_roots(tmp_path / "more")


# --- what the tables of a store name


@pytest.fixture
def copied_run(tiny_run: Run, tmp_path: Path) -> Run:
    shutil.copytree(tiny_run.store.root, tmp_path / "store")
    write_roots(tmp_path / "store", read_roots(tiny_run.store.root))
    tiny_run.store.sessions.to_csv(tmp_path / "store" / "sessions.csv", index=False)
    return open_run(tiny_run.root, store=tmp_path / "store")


def lead_elsewhere(run: Run, path: Path) -> dict:
    """A pair whose current scans the table says to be one file."""
    row = run.pair(str(run.pairs()["pair_id"].iloc[0]))
    table = run.store.root / "sessions.csv"
    sessions = pd.read_csv(table, dtype=str, keep_default_na=False)
    own = (sessions["patient_id"] == row["patient_id"]) & (
        sessions["session_id"] == row["current_session"]
    )
    sessions.loc[own, list(run.layout.sequences)] = str(path)
    sessions.to_csv(table, index=False)
    return dict(row)


def test_a_table_of_a_store_leads_to_no_other_scan(copied_run: Run, homes, tmp_path: Path):
    row = dict(copied_run.pair(str(copied_run.pairs()["pair_id"].iloc[0])))
    assert scan_place(copied_run, row) is not None
    sequence = copied_run.layout.sequences[0]
    row = lead_elsewhere(copied_run, homes[0])
    assert scan_place(copied_run, row) is None
    with pytest.raises(VolumeError, match=r"home/a/T1\.nii\.gz of .* lies outside .*roots\.json"):
        scan_place(copied_run, row, sequence)
    # Neither by a link that lies inside.
    (tmp_path / "store" / "T1.nii.gz").symlink_to(homes[0])
    write_roots(copied_run.store.root, [tmp_path / "store"])
    row = lead_elsewhere(copied_run, tmp_path / "store" / "T1.nii.gz")
    assert scan_place(copied_run, row) is None
    write_roots(copied_run.store.root, [homes[0].parent])
    assert scan_place(copied_run, row) is not None


def test_a_store_of_an_earlier_version_is_read_as_it_was(copied_run: Run, homes):
    (copied_run.store.root / ROOTS).unlink()
    place = scan_place(copied_run, lead_elsewhere(copied_run, homes[0]))
    assert place is not None
    assert place.path == homes[0]


@pytest.mark.parametrize("content", ['["/"]', '["/home"]', '["/etc/x"]', "[1]", "{}", "[", "3"])
def test_a_record_of_a_store_that_bounds_nothing_is_refused(copied_run: Run, content: str):
    (copied_run.store.root / ROOTS).write_text(content)
    row = dict(copied_run.pair(str(copied_run.pairs()["pair_id"].iloc[0])))
    with pytest.raises(ManifestError, match=r"roots\.json .*run xrano prepare again"):
        scan_place(copied_run, row)


def test_an_image_in_everybodys_folder_is_a_root_by_itself(tmp_path: Path, monkeypatch):
    from xrano.data import image_roots

    monkeypatch.setattr(image_roots, "bounds_nothing", lambda root: root == tmp_path)
    image = write_image(tmp_path / "T1.nii.gz")
    assert image_roots.covering_roots([str(image)], ()) == [image]
