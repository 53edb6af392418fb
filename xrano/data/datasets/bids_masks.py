"""The masks of a BIDS dataset: brain masks and segmentations below ``derivatives``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xrano.data.cells import read_cells
from xrano.data.datasets.layout import nifti_files, subfolders
from xrano.data.label_schemes import Tissue, label_scheme
from xrano.errors import ManifestError

_WORLDS = {"T1w": "T1", "T1": "T1", "T1ce": "CT1", "CT1": "CT1", "T2w": "T2", "T2": "T2",
           "FLAIR": "FLAIR", "orig": "", "individual": "", "native": ""}  # fmt: skip
"""Entity ``space-`` to the sequence in whose world the file lies."""

_TISSUES = {
    **{str(tissue): tissue for tissue in Tissue},
    **dict.fromkeys(("edema", "snfh", "ed"), Tissue.OEDEMA),
    **dict.fromkeys(("et", "enhancing tumor", "enhancing tumour"), Tissue.ENHANCING),
    **dict.fromkeys(("ncr", "netc", "necrotic core"), Tissue.NECROSIS),
    **dict.fromkeys(("rc", "resection cavity"), Tissue.CAVITY),
    **dict.fromkeys(("tumor", "tumour"), Tissue.LESION),
}


@dataclass(frozen=True)
class BidsMask:
    """One mask: where it is, which derivative made it, its entities and suffix."""

    path: Path
    derivative: Path
    entities: Mapping[str, str]
    suffix: str

    @property
    def sequence(self) -> str:
        """The sequence in whose world it lies, empty if its name does not say."""
        return _WORLDS.get(self.entities.get("space", ""), "")

    @property
    def is_brain(self) -> bool:
        """Whether it is a mask of the brain."""
        return self.suffix == "mask" and "brain" in (
            self.entities.get("desc", "").lower(),
            self.entities.get("label", "").lower(),
        )


@dataclass(frozen=True)
class SessionMasks:
    """The masks of one session, and the stems of those in a space that has no use here."""

    masks: tuple[BidsMask, ...]
    left_over: tuple[str, ...]


def session_masks(dataset: Path, session: Path, *, any_space: bool) -> SessionMasks:
    """The files ``derivatives/*/SESSION/anat/*_mask`` and ``*_dseg``.

    Args:
        dataset: the dataset's folder.
        session: path of the session in a derivative: ``sub-01/ses-02``.
        any_space: whether masks in the space of a template are wanted too.
    """
    masks: list[BidsMask] = []
    left_over: list[str] = []
    for derivative in subfolders(dataset / "derivatives"):
        for stem, path in nifti_files(derivative / session / "anat").items():
            *parts, suffix = stem.split("_")
            if suffix not in ("mask", "dseg"):
                continue
            entities = dict(part.split("-", 1) for part in parts if "-" in part)
            if any_space or entities.get("space", "orig") in _WORLDS:
                masks.append(BidsMask(path, derivative, entities, suffix))
            else:
                left_over.append(f"{derivative.name}/{stem}")
    return SessionMasks(tuple(masks), tuple(left_over))


def brain_mask(found: SessionMasks, derivative: str) -> dict[str, object]:
    """The columns of the brain mask; of several, that of the derivative that images come from.

    Raises:
        ManifestError: if it is not clear which one is meant.
    """
    brains = [mask for mask in found.masks if mask.is_brain]
    preferred = [mask for mask in brains if mask.derivative.name == derivative] or brains
    if len(preferred) > 1:
        names = ", ".join(str(mask.path) for mask in preferred)
        raise ManifestError(
            f"there are several brain masks of one session ({names}); name the "
            "derivative to take it from, or keep one"
        )
    if not preferred:
        return {}
    return {"brain_mask": str(preferred[0].path), "brain_mask_sequence": preferred[0].sequence}


def segmentations_of(found: SessionMasks, scheme: str) -> list[dict[str, object]]:
    """The rows of a session's segmentations, without its key.

    Raises:
        ManifestError: if the labels of a file are of unknown meaning.
        UnknownNameError: if the scheme is unknown.
    """
    return [
        {
            "source": _source(mask),
            "scheme": "binary" if mask.suffix == "mask" else _scheme(mask, scheme),
            "path": str(mask.path),
            "sequence": mask.sequence,
        }
        for mask in found.masks
        if not mask.is_brain
    ]


def _source(mask: BidsMask) -> str:
    told = [value for name, value in mask.entities.items() if name not in ("sub", "ses")]
    return "-".join([mask.derivative.name, *told])


def _scheme(mask: BidsMask, scheme: str) -> str:
    """The scheme of a ``_dseg``: the one given, or what the table beside it says."""
    if scheme:
        label_scheme(scheme)
        return scheme
    stem = mask.path.name.split(".nii")[0]
    tables = [mask.path.with_name(f"{stem}.tsv"), mask.derivative / "dseg.tsv"]
    for table in tables:
        if table.is_file():
            return _read_lookup(table)
    raise ManifestError(
        f"{mask.path}: what its labels mean is not said in "
        f"{' or '.join(str(table) for table in tables)} (columns index and name); write that "
        "table, or give the label scheme"
    )


def _read_lookup(path: Path) -> str:
    """BIDS' table of labels as an explicit scheme."""
    frame = read_cells(path, ("index", "name"), separator="\t")
    entries = []
    for row, (index, name) in enumerate(zip(frame["index"], frame["name"], strict=True)):
        if index == "0" or name.lower() == "background":
            continue
        if name.lower() not in _TISSUES:
            raise ManifestError(
                f"{path}, line {row + 2}: name is {name!r}; needed is one of: "
                f"{', '.join(sorted(_TISSUES))}"
            )
        entries.append(f"{index}={_TISSUES[name.lower()]}")
    label_scheme(";".join(entries))
    return ";".join(entries)
