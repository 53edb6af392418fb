import itertools

import pytest
import torch
from monai.networks.nets import resnet18
from safetensors.torch import save_file
from torch import nn

from xrano.channels import ChannelLayout
from xrano.errors import CheckpointError
from xrano.models.factory import MODELS, create_model
from xrano.models.inflation import INFLATION, inflate
from xrano.models.stems import STEMS
from xrano.models.weight_files import load_matching, read_weights

LAYOUT = ChannelLayout(("T1", "T2", "FLAIR"))


@pytest.fixture(autouse=True)
def global_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    yield
    assert torch.equal(torch.random.get_rng_state(), before)


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def one_channel(name, *, classes=11, seed=1):
    """An encoder as a pretext task trains it, with batch statistics that are not 0 and 1."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = MODELS[name].build(1, classes, 1)
        for part in network.modules():
            if isinstance(part, nn.BatchNorm3d):
                part.running_mean.normal_(std=0.1)
                part.running_var.uniform_(0.5, 2.0)
    return network.eval()


def copies(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def unchanged(network, before):
    return all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.fixture(scope="module")
def medicalnet():
    """MONAI's own ResNet18, of MedicalNet's names: one channel, shortcuts A, no last layer."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        network = resnet18(
            spatial_dims=3,
            n_input_channels=1,
            conv1_t_stride=2,
            shortcut_type="A",
            feed_forward=False,
        )
    return network.eval()


def published(network):
    """What MedicalNet's files look like."""
    tensors = {f"module.{name}": value for name, value in network.state_dict().items()}
    return {"ecpoch": 100, "batch_id": 7, "state_dict": tensors}


@pytest.mark.parametrize("zipped", [True, False])
def test_medicalnets_file_loads_whole_and_the_logits_follow(tmp_path, medicalnet, zipped):
    path = tmp_path / "resnet_18_23dataset.pth"
    torch.save(published(medicalnet), path, _use_new_zipfile_serialization=zipped)
    network = create_model("resnet18", LAYOUT).eval()
    head = network.backbone.fc.weight.clone()
    found = load_matching(network, read_weights(path), origin=str(path))
    # 17 convolutions, and as many batch normalisations of 4 tensors.
    assert (len(found.loaded), found.needed, found.fraction) == (85, 85, 1.0)
    assert (found.missing, found.mismatched, found.unused, found.head) == ((), (), (), False)
    assert found.line == (
        f"{path}: 85 of 85 backbone tensors loaded (100 %); first convolution inflated from 1 "
        "to 6 channels"
    )
    image = noise(2, 1, 24, 20, 28)
    with torch.no_grad():
        features = medicalnet(image)
        logits = network(image.expand(-1, 6, -1, -1, -1))
    assert torch.equal(network.backbone.fc.weight, head)
    torch.testing.assert_close(logits, network.backbone.fc(features), rtol=1e-4, atol=1e-5)


def test_a_known_fraction_is_loaded_and_the_rest_named(medicalnet):
    tensors = {name: value.clone() for name, value in medicalnet.state_dict().items()}
    for name in [name for name in tensors if name.startswith("layer4")]:
        del tensors[name]
    tensors["conv_seg.0.weight"] = torch.zeros(3)
    tensors["bn1.weight"] = torch.zeros(65)
    network = create_model("resnet18", LAYOUT)
    before = copies(network)
    found = load_matching(network, tensors, origin="half a file")
    # The last stage has 4 convolutions and 4 normalisations: 20 tensors.
    assert len(found.missing) == 20
    assert {name.split(".")[0] for name in found.missing} == {"layer4"}
    assert (found.mismatched, found.unused) == (("bn1.weight",), ("conv_seg.0.weight",))
    assert found.fraction == 64 / 85
    for part in ("(75 %)", "1 of another shape (bn1.weight)", "20 not in the file", "conv_seg.0"):
        assert part in found.line
    after = network.state_dict()
    for name in (*found.missing, *found.mismatched):
        assert torch.equal(after[f"backbone.{name}"], before[f"backbone.{name}"])
    for name in set(found.loaded) - {"conv1.weight"}:
        assert torch.equal(after[f"backbone.{name}"], tensors[name])


STEM_CASES = list(
    itertools.product(["densenet_small", "resnet_small", "alexnet3d", "vit_small"], STEMS)
)


@pytest.mark.parametrize(("name", "stem"), STEM_CASES)
def test_every_network_and_stem_takes_its_one_channel_encoder(name, stem):
    encoder = one_channel(name)
    tensors = copies(encoder)
    network = create_model(name, LAYOUT, stem=stem, seed=3).eval()
    found = load_matching(network, tensors, origin="organs")
    # The siamese AlexNet's first linear layer takes three times the features: weight of it alone.
    lost = ("classifier.3.weight",) if (name, stem) == ("alexnet3d", "siamese") else ()
    assert found.mismatched == lost
    assert found.missing == ()
    assert not found.head
    assert found.inflated == (1, STEMS[stem].channels * 3)
    image = noise(2, 1, 26, 20, 24)
    own = network.backbone.encoder if STEMS[stem].shared else network.backbone
    arranged = image.expand(-1, found.inflated[1], -1, -1, -1)
    if stem == "concat+subtract":
        # What equal scans give: differences of 0.
        arranged = torch.cat([arranged[:, :6], torch.zeros_like(arranged[:, 6:])], dim=1)
    with torch.no_grad():
        wanted = encoder.encode(image)
        scale = wanted.abs().max()
        assert (own.encode(arranged) - wanted).abs().max() <= 1e-5 * scale
        if stem != "subtract":  # equal scans are an image of zeros to it
            logits = network(image.expand(-1, 6, -1, -1, -1))
            assert torch.isfinite(logits).all()


@pytest.mark.parametrize("stem", STEMS)
def test_inflation_keeps_the_response_to_equal_channels(stem):
    weight = noise(5, 1, 3, 3, 3, dtype=torch.float64)
    wide = inflate(weight, stem, 3)
    assert wide.shape == (5, 3 * STEMS[stem].channels, 3, 3, 3)
    image = noise(1, 1, 6, 7, 5, seed=1, dtype=torch.float64)
    wanted = nn.functional.conv3d(image, weight)
    if stem in ("subtract", "siamese"):
        arranged = image.expand(-1, 3, -1, -1, -1)
    else:
        arranged = STEMS[stem].arrange(image.expand(-1, 6, -1, -1, -1))
    response = nn.functional.conv3d(arranged, wide)
    assert (response - wanted).abs().max() <= 1e-6


def test_an_inflated_difference_responds_as_the_difference_of_the_responses():
    weight = noise(5, 1, 3, 3, 3, dtype=torch.float64)
    scans = noise(1, 6, 6, 7, 5, seed=1, dtype=torch.float64)
    of_one = [nn.functional.conv3d(scans[:, [index]], weight) for index in range(6)]
    change = sum(of_one[3:]) / 3 - sum(of_one[:3]) / 3
    both = sum(of_one) / 6
    for stem, wanted in (
        ("subtract", change),
        ("concat", both),
        ("concat+subtract", both + change),
    ):
        response = nn.functional.conv3d(STEMS[stem].arrange(scans), inflate(weight, stem, 3))
        assert (response - wanted).abs().max() <= 1e-6


def test_every_stem_has_an_inflation_of_its_channels():
    assert {stem: len(shares) for stem, shares in INFLATION.items()} == {
        name: spec.channels for name, spec in STEMS.items()
    }


def test_a_first_convolution_of_all_channels_is_loaded_as_it_is():
    source = create_model("resnet_small", LAYOUT, seed=7)
    network = create_model("resnet_small", LAYOUT, seed=8)
    found = load_matching(network, read(source.state_dict()), origin="a run")
    assert found.inflated is None
    assert found.head
    assert unchanged(network, source.state_dict())


def test_a_first_convolution_of_another_number_of_channels_is_left_out():
    source = create_model("resnet_small", ChannelLayout(("T1", "T2")), seed=7)
    network = create_model("resnet_small", LAYOUT, seed=8)
    before = network.backbone.conv1.weight.clone()
    found = load_matching(network, read(source.state_dict()), origin="a run")
    assert found.mismatched == ("conv1.weight",)
    assert torch.equal(network.backbone.conv1.weight, before)


def test_the_head_is_left_out_for_other_classes():
    source = create_model("resnet_small", LAYOUT, num_classes=2, seed=7)
    network = create_model("resnet_small", LAYOUT, num_classes=4, seed=8)
    before = copies(network.backbone.fc)
    found = load_matching(network, read(source.state_dict()), origin="a run")
    assert (found.head, found.unused) == (False, ("fc.bias", "fc.weight"))
    assert found.fraction == 1.0
    assert unchanged(network.backbone.fc, before)


@pytest.mark.parametrize("name", ["resnet_small", "alexnet3d", "vit_small"])
def test_a_network_with_clinical_data_takes_all_but_the_head(name):
    network = create_model(name, LAYOUT, clinical=("age", "sex"))
    fusion = copies(network.fusion)
    found = load_matching(network, copies(one_channel(name, classes=4)), origin="organs")
    assert found.fraction == 1.0
    assert len(found.unused) == 2  # weight and bias of the pretext task's last layer
    assert unchanged(network.fusion, fusion)


def read(tensors):
    """By bare names, as from a file."""
    return {name.removeprefix("backbone."): value for name, value in tensors.items()}


def test_learnt_positions_are_not_used_and_other_patches_left_out():
    network = create_model("vit_small", LAYOUT)
    tensors = copies(one_channel("vit_small"))
    tensors["patch_embedding.position_embeddings"] = torch.zeros(1, 27, 48)
    tensors["patch_embedding.patch_embeddings.weight"] = torch.zeros(48, 1, 16, 16, 16)
    before = network.backbone.patch_embedding.patch_embeddings.weight.clone()
    found = load_matching(network, tensors, origin="a transformer")
    assert found.mismatched == ("patch_embedding.patch_embeddings.weight",)
    assert "patch_embedding.position_embeddings" in found.unused
    assert torch.equal(network.backbone.patch_embedding.patch_embeddings.weight, before)


def test_no_match_is_an_error_that_names_both_sides():
    network = create_model("densenet_small", LAYOUT)
    before = copies(network)
    with pytest.raises(CheckpointError) as caught:
        load_matching(network, copies(one_channel("vit_small")), origin="vit.pth")
    message = str(caught.value)
    assert message.startswith("vit.pth: none of ")
    assert "cls_token" in message
    assert "features.conv0.weight" in message
    assert unchanged(network, before)


def test_weights_of_another_architecture_are_refused_with_names_that_matched():
    network = create_model("resnet18", LAYOUT)
    before = copies(network)
    tensors = copies(one_channel("resnet_small"))
    tensors["bn1.weight"] = torch.ones(64)
    with pytest.raises(CheckpointError, match=r"another architecture: only 1 of 85 .*bn1\.weight"):
        load_matching(network, tensors, origin="small.pth")
    assert unchanged(network, before)


def test_values_that_are_not_finite_are_refused_and_nothing_is_loaded():
    network = create_model("resnet_small", LAYOUT)
    before = copies(network)
    tensors = copies(one_channel("resnet_small"))
    tensors["layer4.0.bn2.running_var"][3] = float("nan")
    with pytest.raises(CheckpointError, match=r"layer4\.0\.bn2\.running_var .*NaN"):
        load_matching(network, tensors, origin="diverged.pth")
    assert unchanged(network, before)


def test_the_tensors_given_stay_as_they_were():
    tensors = copies(one_channel("resnet_small"))
    before = {name: value.clone() for name, value in tensors.items()}
    network = create_model("resnet_small", LAYOUT)
    load_matching(network, tensors, origin="organs")
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
    assert all(torch.equal(tensors[name], value) for name, value in before.items())


@pytest.mark.parametrize("wrap", [(), ("state_dict",), ("model",), ("network", "state_dict")])
@pytest.mark.parametrize("prefix", ["", "module.", "module.backbone.encoder.", "_orig_mod.module."])
def test_wrapper_keys_and_prefixes_are_taken_off(tmp_path, wrap, prefix):
    content = {
        f"{prefix}layer1.0.conv1.weight": torch.arange(3.0),
        f"{prefix}fc.bias": torch.ones(1),
    }
    for key in reversed(wrap):
        content = {key: content, "epoch": 3}
    torch.save(content, tmp_path / "weights.pt")
    found = read_weights(tmp_path / "weights.pt")
    assert set(found) == {"layer1.0.conv1.weight", "fc.bias"}
    assert torch.equal(found["layer1.0.conv1.weight"], torch.arange(3.0))


def test_safetensors_are_read(tmp_path):
    save_file({"module.a": torch.arange(3.0)}, tmp_path / "weights.safetensors")
    assert torch.equal(read_weights(tmp_path / "weights.safetensors")["a"], torch.arange(3.0))


class Call:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return exec, (f"open({str(self.mark)!r}, 'w').close()",)


def test_a_pickle_that_would_execute_code_is_refused_unexecuted(tmp_path):
    path, mark = tmp_path / "evil.pth", tmp_path / "executed"
    torch.save({"state_dict": {"a": torch.ones(2)}, "extra": Call(mark)}, path)
    with pytest.raises(
        CheckpointError, match=r"would call \S*exec, and nothing in it was executed"
    ):
        read_weights(path)
    assert not mark.exists()
    # That the trap is one: reading without care does execute it.
    torch.load(path, weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_missing_and_broken_files_are_refused(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(CheckpointError, match=f"{path} cannot be read.*No such file"):
        read_weights(path)
    path.write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match=str(path)):
        read_weights(path)


@pytest.mark.parametrize("content", [{}, {"epoch": 3, "loss": 0.5}, [torch.ones(2)], torch.ones(2)])
def test_a_file_without_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="holds no tensors by name: found"):
        read_weights(tmp_path / "weights.pth")


def test_two_tensors_of_one_name_are_refused(tmp_path):
    torch.save({"module.a": torch.ones(1), "a": torch.ones(1)}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="two tensors of the name a"):
        read_weights(tmp_path / "weights.pth")
