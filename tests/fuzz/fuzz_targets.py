"""Every reader of files from others as a function of bytes: a value, or an error of xrano's."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from fuzz_binary_files import (
    AFFINE,
    MAT_TOKENS,
    SHAPE,
    mat_seed,
    model_seed,
    nifti_seeds,
    organ_seeds,
    packed_map,
    read_images,
    read_weight_file,
    session_seed,
    weight_seeds,
)
from fuzz_cohorts import (
    BIDS,
    BIDS_DATES,
    CFB,
    LUMIERE,
    MU,
    UCSF,
    read_book,
    read_cohort,
    workbooks,
)
from fuzz_limits import bounded
from fuzz_mutations import mutated, mutated_nifti
from hypothesis import strategies as st

from xrano.data.clinical import read_encoder
from xrano.data.datasets.manifest import read_index
from xrano.data.datasets.measured_volumes import measured_regions
from xrano.data.label_schemes import label_scheme
from xrano.data.organmnist import read_organmnist
from xrano.data.pairing.pairs import build_pairs
from xrano.data.privacy import looks_like
from xrano.data.registration.itk_transforms import read_itk_transform
from xrano.data.splits import read_splits
from xrano.data.store import open_store, read_prepared
from xrano.data.tables import read_pairs, read_segmentations, read_sessions
from xrano.errors import XranoError
from xrano.evaluation.predictions import read_predictions
from xrano.experiments.audit.audit_files import read_audit
from xrano.experiments.explained_units import is_whole, require_whole_units
from xrano.experiments.study.study_file import read_study
from xrano.map_files import load_map
from xrano.maps import in_common_world
from xrano.rano import parse_rating
from xrano.scoring.table_files import read_frame
from xrano.target_words import targets_of
from xrano.tasks import RESPONSE
from xrano.training.checkpoint import load_model
from xrano.training.config_file import load_config
from xrano.training.run import read_predictions as predictions_file

CORPUS = Path(__file__).parent / "corpus"
"""A folder a target; each file in it once broke its reader, or stands for a kind of attack."""


@dataclass(frozen=True)
class Target:
    """A reader.

    ``read``: takes the bytes and an empty folder; ``inputs``: what to try.
    """

    read: Callable[[bytes, Path], object]
    inputs: Callable[[], st.SearchStrategy[bytes]]


def attempt(name: str, content: bytes) -> bool:
    """Read some bytes by a target; whether they were accepted.

    Raises:
        BaseException: if the reader raised anything but an error of xrano's, or took more memory
            or time than :mod:`fuzz_limits` gives it.
    """
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    # nibabel logs what it mends in a header.
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), bounded():
            warnings.simplefilter("ignore")
            TARGETS[name].read(content, folder)
    except XranoError as error:
        if not str(error).strip():
            raise AssertionError(f"{type(error).__name__} says nothing") from error
        return False
    finally:
        logging.disable(logging.NOTSET)
        shutil.rmtree(folder, ignore_errors=True)
    return True


def corpus(name: str) -> list[Path]:
    """The kept inputs of a target."""
    return sorted((CORPUS / name).glob("*.bin"))


_SIDECAR = {
    "channels": ["all"],
    "grid": list(SHAPE),
    "pair_id": "P_a_b",
    "patient_id": "P",
    "prior": "a",
    "current": "b",
    "method": "gradcam",
    "target_name": "PD",
    "to_common": np.eye(4).tolist(),
}


def _sidecar(content: bytes, folder: Path) -> None:
    (folder / "m_statmap.json").write_bytes(content)
    (folder / "m_statmap.nii.gz").write_bytes(packed_map())
    found = in_common_world(load_map(folder / "m_statmap.nii.gz"))
    assert found.stem.count("/") == 2


# --- tables

_SESSIONS = (
    b"patient_id,session_id,week,rating,role,T1,CT1,brain_mask,space,age,ADC\n"
    b"P1,week-000,0,,preop,a/T1.nii.gz,,a/brain.nii.gz,atlas,61,a/ADC.nii\n"
    b"P1,week-012,12,PD,followup,b/T1.nii.gz,b/CT1.nii.gz,,atlas,,\n"
    b'P2,"week, 3",3,CR,unknown,c/T1.nii.gz,,,atlas,70.5,\n'
)
_SEGMENTATIONS = (
    b"patient_id,session_id,source,scheme,path,space\n"
    b"P1,week-000,expert,binary,a/seg.nii.gz,atlas\n"
    b"P1,week-012,tool,1=necrosis;2=oedema;3=enhancing,b/seg.nii,atlas\n"
)
_PAIRS = (
    b"pair_id,patient_id,prior_session,current_session,prior_week,current_week,reference,response,"
    b"rating_source,spans_surgery\n"
    b"P1_a_b,P1,a,b,0,12,previous,PD,expert,False\nP1_b_c,P1,b,c,12,20,previous,,,True\n"
)


def _sessions(content: bytes, folder: Path) -> None:
    (folder / "sessions.csv").write_bytes(content)
    build_pairs(read_sessions(folder / "sessions.csv", roots=[folder]), unrated="include")


def _file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    def run(content: bytes, folder: Path) -> object:
        (folder / name).write_bytes(content)
        return read(folder / name)

    return run


def _index(content: bytes, folder: Path) -> None:
    (folder / "sessions.csv").write_bytes(_SESSIONS)
    (folder / "index.json").write_bytes(content)
    read_index(folder)


# --- JSON, YAML and words

_SPLITS = json.dumps(
    {"protocol": "patient-grouped", "seed": 0, "folds": [{"test": ["P1"]}, {"test": ["P2"]}]}
).encode()
_STORE = json.dumps(
    {
        "format": 2,
        "grid": {"shape": [3, 4, 2], "affine": AFFINE.tolist()},
        "sequences": ["T1", "FLAIR"],
        "settings": {"spacing_mm": 0.0},
    }
).encode()
_CONFIG = (
    b"store: ../store\nmodel:\n  name: densenet_small\n  sequences: [T1, FLAIR]\n"
    b"training:\n  epochs: 3\n  learning_rate: 0.001\nn_folds: 3\nfolds: [0, 1]\n"
    b"pretraining:\n  kind: medicalnet\n  path: weights.pth\n"
)
_STUDY = (
    b"phantom: {patients: 8, seed: 2, margin: 0.2}\nbase: {preset: demo, training: {epochs: 2}}\n"
    b"seeds: [0, 1]\nn_folds: 2\narms:\n"
    b"  all: {approach: sequences, model: {sequences: T1+FLAIR}}\n"
    b"  one: {approach: sequences, against: all, model: {sequences: [T1]}}\n"
    b"grid:\n  - {approach: subtraction, vary: {model.stem: [subtract, siamese]}}\n"
    b"leak: {phantom: {leaking: true, patients: 8}, seeds: [0]}\n"
)
_STUDY_OF_STORE = b"store: ../store\nsame_cases: false\narms: {a: {training: {epochs: 1}}}\n"
_ENCODER = json.dumps(
    {"variables": [{"name": "age", "mean": 60.0, "sd": 9.5, "n_known": 12}]}
).encode()
_MEASURED = b'{"Enhancing_Core": 1.5, "Necrotic_NonEnhancing": 0, "Edema_Compartment": 12}'
_ITK = (
    b"#Insight Transform File V1.0\n#Transform 0\nTransform: Euler3DTransform_double_3_3\n"
    b"Parameters: 0.1 0 0.2 1 2 3\nFixedParameters: 4 5 6 0\n"
)
_AUDIT = b'{"median_core_ml": 3.5, "settings": {"kinds": ["honest", "noise"], "cohort_seeds": [4]}}'
_SCORES = b"pair_id,value,fold,flag\nP1,0.5,0,True\nP2,,1,False\n"


_PREDICTIONS = (
    b"pair_id,patient_id,fold,response,rating_source,predicted,logit_CR,logit_PR,logit_SD,logit_PD\n"
    b"P1_a_b,P1,0,PD,expert,SD,0.5,-1.25,2,0\nP2_a_b,P2,1,CR,rule,CR,1e-3,0,0,-inf\n"
)
_UNIT = b'{"key": "k", "files": {"maps/m_statmap.nii.gz": 24, "maps/m_statmap.json": 3}}'


def _predictions(content: bytes, folder: Path) -> None:
    (folder / "predictions.csv").write_bytes(content)
    read_predictions(predictions_file(folder / "predictions.csv"))


def _unit(content: bytes, folder: Path) -> None:
    (folder / "units" / "P_a_b").mkdir(parents=True)
    (folder / "units" / "P_a_b" / "saliency.json").write_bytes(content)
    is_whole(folder, "P_a_b", "saliency", "k")
    require_whole_units(folder / "maps")


def _store(content: bytes, folder: Path) -> object:
    (folder / "statistics.json").write_text('{"pairs": {}}')
    return _file("store.json", lambda path: open_store(path.parent))(content, folder)


def _statistics(content: bytes, folder: Path) -> object:
    (folder / "store.json").write_bytes(_STORE)
    return _file("statistics.json", lambda path: open_store(path.parent))(content, folder)


def _words(content: bytes, _: Path) -> None:
    text = content.decode("utf-8", "replace")
    looks_like(text)
    rated: Any = SimpleNamespace(response="PD", pair_id="P_a_b")
    refused = []
    for read in (parse_rating, label_scheme, lambda word: targets_of(word, rated, RESPONSE)):
        try:
            read(text)
        except XranoError as error:
            refused.append(error)
    if len(refused) == 3:
        raise refused[0]


def _text(*seeds: bytes) -> Callable[[], st.SearchStrategy[bytes]]:
    return lambda: mutated(seeds) | st.binary(max_size=60)


TARGETS: Mapping[str, Target] = {
    "nifti": Target(read_images, lambda: mutated_nifti(nifti_seeds())),
    "sidecar": Target(_sidecar, _text(json.dumps(_SIDECAR).encode())),
    "sessions": Target(_sessions, _text(_SESSIONS)),
    "segmentations": Target(
        _file("segmentations.csv", lambda path: read_segmentations(path, roots=[path.parent])),
        _text(_SEGMENTATIONS),
    ),
    "pairs": Target(_file("pairs.csv", read_pairs), _text(_PAIRS)),
    "index": Target(_index, _text(b'{"root": ".", "also": [], "dataset": "manifest"}')),
    "bids": Target(read_cohort("bids"), _text(BIDS, BIDS_DATES, BIDS + BIDS_DATES)),
    "lumiere": Target(read_cohort("lumiere"), _text(LUMIERE)),
    "cfb": Target(read_cohort("cfb-gbm"), _text(CFB)),
    "mu": Target(read_cohort("mu-glioma-post"), _text(MU)),
    "ucsf": Target(read_cohort("ucsf-alptdg"), _text(UCSF)),
    "workbook": Target(read_book, workbooks),
    "predictions": Target(_predictions, _text(_PREDICTIONS)),
    "unit": Target(_unit, _text(_UNIT)),
    "mat": Target(_file("t.mat", read_itk_transform), lambda: mutated([mat_seed()], MAT_TOKENS)),
    "splits": Target(_file("splits.json", lambda path: read_splits(path, None)), _text(_SPLITS)),
    "store": Target(_store, _text(_STORE)),
    "statistics": Target(_statistics, _text(b'{"normalisation": "healthy", "pairs": {}}')),
    "session_file": Target(
        _file("s.safetensors", read_prepared), lambda: mutated([session_seed()])
    ),
    "config": Target(_file("config.yaml", load_config), _text(_CONFIG)),
    "study": Target(_file("study.yaml", read_study), _text(_STUDY, _STUDY_OF_STORE)),
    "audit": Target(_file("audit.json", lambda path: read_audit(path.parent)), _text(_AUDIT)),
    "encoder": Target(_file("clinical.json", read_encoder), _text(_ENCODER)),
    "measured": Target(_file("measured.json", measured_regions), _text(_MEASURED)),
    "transform": Target(_file("t.txt", read_itk_transform), _text(_ITK)),
    "scores": Target(
        _file(
            "scores.csv",
            lambda path: read_frame(path, numbers=("value",), counts=("fold",), flags=("flag",)),
        ),
        _text(_SCORES),
    ),
    "words": Target(
        _words, _text(b"PD", b"Post-Op/PD", b"PD-SD", b"1=necrosis;2=oedema", b"DOE^JOHN 19560312")
    ),
    "weights": Target(read_weight_file, lambda: mutated(weight_seeds())),
    "model": Target(_file("m.safetensors", load_model), lambda: mutated([model_seed()])),
    "organs": Target(_file("organmnist3d.npz", read_organmnist), lambda: mutated(organ_seeds())),
}
"""Name to reader."""
