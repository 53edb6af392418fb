import numpy as np
import pytest

from xrano.data.organmnist import ORGANS, read_organmnist
from xrano.errors import VolumeError


def arrays(size=28):
    """Two volumes of each organ to train on; voxel (label, 1, 2) alone is bright."""
    found = {}
    for name, count in (("train", 22), ("val", 11), ("test", 3)):
        labels = np.arange(count)[::-1] % 11
        images = np.zeros((count, size, size, size), dtype=np.uint8)
        images[np.arange(count), labels, 1, 2] = 200 + labels
        found[f"{name}_images"] = images
        found[f"{name}_labels"] = labels[:, None].astype(np.uint8)
    return found


def refused(tmp_path, message, **changes):
    path = tmp_path / "organmnist3d.npz"
    content = {**arrays(), **changes}
    np.savez(path, **{name: value for name, value in content.items() if value is not None})
    with pytest.raises(VolumeError, match=message) as caught:
        read_organmnist(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("size", [28, 64])
def test_a_file_as_published_is_read(tmp_path, size):
    path = tmp_path / "organmnist3d.npz"
    np.savez_compressed(path, **arrays(size))
    parts = read_organmnist(path)
    assert [len(part) for part in (parts.train, parts.val, parts.test)] == [22, 11, 3]
    assert parts.test.labels.tolist() == [2, 1, 0]
    assert parts.train.labels.dtype == np.int64
    for part in (parts.train, parts.val, parts.test):
        for image, label in zip(part.images, part.labels, strict=True):
            assert np.argwhere(image).tolist() == [[label, 1, 2]]
            assert image.max() == 200 + label
    assert len(ORGANS) == 11


def test_a_lacking_array_is_named_with_those_there(tmp_path):
    refused(tmp_path, "lacks val_labels; it holds .*train_images", val_labels=None)


def test_other_shapes_are_refused_with_what_was_found(tmp_path):
    flat = np.zeros((22, 28, 28), dtype=np.uint8)
    refused(tmp_path, r"train_images is uint8 of shape \(22, 28, 28\)", train_images=flat)
    colour = np.zeros((22, 28, 28, 3), dtype=np.uint8)
    refused(tmp_path, r"\(22, 28, 28, 3\)", train_images=colour)
    refused(tmp_path, "train_images is float32", train_images=np.zeros((22,) + (28,) * 3, "f4"))
    refused(tmp_path, "val_images is uint8 of shape", val_images=np.zeros((11,) + (27,) * 3, "u1"))
    refused(tmp_path, "several sizes", val_images=np.zeros((11, 64, 64, 64), "u1"))
    refused(tmp_path, r"\(0, 28", val_images=np.zeros((0,) + (28,) * 3, dtype="u1"))


def test_wrong_labels_are_refused_with_what_was_found(tmp_path):
    labels = arrays()["train_labels"]
    refused(tmp_path, "train_labels holds 11; .* 0 to 10", train_labels=labels + 1)
    refused(tmp_path, "holds -1", train_labels=labels.astype(int) - 1)
    refused(tmp_path, r"int64 of shape \(22,\)", train_labels=labels[:, 0].astype(int))
    refused(tmp_path, "float64", train_labels=labels.astype(float))
    refused(tmp_path, r"\(21, 1\); it must be integers \(22, 1\)", train_labels=labels[:21])


def test_another_set_of_medmnist_is_refused(tmp_path):
    # NoduleMNIST3D has the same arrays, and two classes.
    labels = (np.arange(22) % 2)[:, None].astype(np.uint8)
    refused(tmp_path, r"2 classes \(0, 1\), OrganMNIST3D has 11", train_labels=labels)


def test_what_is_no_npz_is_refused(tmp_path):
    path = tmp_path / "organmnist3d.npz"
    with pytest.raises(VolumeError, match="cannot be read"):
        read_organmnist(path)
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(VolumeError, match="cannot be read"):
        read_organmnist(path)
    with path.open("wb") as file:
        np.save(file, np.zeros((2, 3)))
    with pytest.raises(VolumeError, match=r"one array of shape \(2, 3\)"):
        read_organmnist(path)


def test_a_file_cut_off_inside_an_array_is_refused(tmp_path):
    path = tmp_path / "organmnist3d.npz"
    np.savez_compressed(path, **arrays())
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(VolumeError, match=str(path)):
        read_organmnist(path)


class Trap:
    sprung: list = []  # noqa: RUF012

    def __reduce__(self):
        return Trap.sprung.append, ("executed",)


def test_a_pickle_inside_is_not_executed(tmp_path):
    trap = np.empty((22, 1), dtype=object)
    trap[:] = Trap()
    refused(tmp_path, "pickle", train_labels=trap)
    assert Trap.sprung == []
