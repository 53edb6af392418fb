"""Where cells lie: closed forms, and brute force over single bright voxels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from scipy.spatial.transform import Rotation
from torch import nn

from xrano.channels import ChannelLayout
from xrano.errors import ModelError
from xrano.geometry import Grid
from xrano.models.factory import create_model
from xrano.models.layer_geometry import feature_grid

ROTATION = Rotation.from_euler("xyz", [17, 8, -12], degrees=True).as_matrix()
SHAPE = (13, 11, 9)


def oblique(shape):
    affine = np.eye(4)
    affine[:3, :3] = ROTATION @ np.diag([-1.1, 2.3, 3.7])
    affine[:3, 3] = [10, -20, 30]
    return Grid(shape, affine)


class Net(nn.Module):
    """One function of the input, then the layer that is asked for; all weights 1."""

    def __init__(self, before, channels=1):
        super().__init__()
        self.body = before if isinstance(before, nn.Module) else nn.Identity()
        self.before = before
        self.layer = nn.Identity()
        self.channels = channels
        for parameter in self.parameters():
            nn.init.ones_(parameter)

    def forward(self, x):
        return self.layer(self.before(x)).mean(dim=(2, 3, 4))


def receptive_fields(net, shape):
    """First and last input voxel that reaches each cell, by lighting one voxel after another."""
    count = math.prod(shape)
    bright = torch.eye(count).reshape(count, 1, *shape).expand(-1, net.channels, *shape)
    with torch.no_grad():
        response = net.before(bright).sum(dim=1).numpy()
    cells = response.shape[1:]
    reached = response.reshape(count, -1) > 0
    index = np.stack(np.unravel_index(np.arange(count), shape), axis=-1)
    low, high = np.full((len(reached.T), 3), 10**6), np.full((len(reached.T), 3), -1)
    for cell, hits in enumerate(reached.T):
        if hits.any():
            low[cell], high[cell] = index[hits].min(axis=0), index[hits].max(axis=0)
    return low.reshape(*cells, 3), high.reshape(*cells, 3)


def check_centres(net, shape=SHAPE, least=1):
    """Every cell whose receptive field lies inside the input is centred where the grid says."""
    grid = oblique(shape)
    found = feature_grid(net, "layer", net.channels, grid)
    low, high = receptive_fields(net, shape)
    assert found.shape == low.shape[:3]
    # Where the border cuts a receptive field off, it is smaller than the largest.
    extent = high - low
    inside = (extent == extent.max(axis=(0, 1, 2))).all(axis=-1)
    assert inside.sum() >= least, "no cell can be checked"
    for cell in np.argwhere(inside):
        centre = (low[tuple(cell)] + high[tuple(cell)]) / 2
        assert found.world(cell) == pytest.approx(grid.world(centre), abs=1e-9)


def conv(kernel, channels=1, out=2, **settings):
    return nn.Conv3d(channels, out, kernel, bias=False, **settings)


def by_keywords(x):
    x = F.conv3d(input=x, weight=torch.ones(1, 1, 2, 3, 1), stride=(2, 1, 1), padding=(1, 1, 0))
    x = F.relu(x)
    return F.avg_pool3d(x, kernel_size=(1, 2, 3), stride=(1, 2, 2), padding=(0, 1, 1))


def by_position(x):
    x = F.conv3d(x, torch.ones(1, 1, 3, 2, 2), None, (1, 2, 1), (0, 1, 1), (2, 1, 1))
    return F.max_pool3d(x, (2, 1, 2), (1, 1, 2), (1, 0, 0))


NETWORKS = {
    "convolution": conv((3, 2, 5), stride=(2, 1, 3), padding=(1, 0, 2)),
    "dilated": conv((2, 3, 2), stride=(1, 2, 1), padding=(0, 1, 1), dilation=(3, 2, 4)),
    "valid": conv((4, 3, 2), padding="valid"),
    "same": conv((3, 5, 3), padding="same", dilation=(2, 1, 2)),
    "max pooling": nn.MaxPool3d((3, 2, 1), stride=(2, 1, 3), padding=(1, 0, 0)),
    "dilated max pooling": nn.MaxPool3d((2, 3, 2), stride=2, dilation=(2, 1, 3)),
    "average pooling": nn.AvgPool3d((2, 1, 3)),
    "pooling with ceil": nn.MaxPool3d((2, 3, 2), ceil_mode=True),
    "padding": nn.Sequential(nn.ZeroPad3d((1, 2, 0, 3, 2, 1)), conv((3, 2, 2), stride=2)),
    "padding by a negative size": nn.Sequential(
        nn.ConstantPad3d((2, -2, -1, 1, 0, -3), 0.0), conv((3, 2, 2), stride=(1, 2, 1))
    ),
    "chain": nn.Sequential(
        conv((3, 2, 3), stride=(1, 2, 1), padding=(1, 0, 1)),
        nn.ReLU(inplace=True),
        nn.MaxPool3d((2, 1, 2), stride=(2, 1, 1), padding=(1, 0, 0)),
        conv((2, 3, 1), channels=2, padding=(0, 1, 0), dilation=(1, 1, 1)),
        nn.Dropout3d(),
        nn.AvgPool3d((1, 2, 2)),
    ).eval(),
    "functional, by keywords": by_keywords,
    "functional, by position": by_position,
    "pooling with indices": lambda x: F.max_pool3d(x, (2, 3, 1), return_indices=True)[0],
    "squeezed and excited": lambda x: F.max_pool3d(x, 2) * (1 + x.mean((2, 3, 4), keepdim=True)),
    "gated by a pooled mean": lambda x: (
        F.max_pool3d(x, (2, 1, 3)) * (1 + F.avg_pool3d(x, x.shape[2:]))
    ),
    "nothing": nn.Identity(),
}


class TestBruteForce:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_one_channel(self, name):
        check_centres(Net(NETWORKS[name]))

    @pytest.mark.parametrize("kernel", [(2, 3, 4), (4, 2, 3)])
    @pytest.mark.filterwarnings("ignore:Using padding='same'")
    def test_even_kernels_with_padding_same(self, kernel):
        check_centres(Net(conv(kernel, padding="same")), least=50)

    @pytest.mark.parametrize("mode", ["replicate", "reflect", "circular"])
    def test_padding_modes(self, mode):
        net = Net(conv((3, 5, 3), stride=(2, 1, 2), padding=(1, 2, 1), padding_mode=mode))
        grid = oblique(SHAPE)
        zeros = Net(conv((3, 5, 3), stride=(2, 1, 2), padding=(1, 2, 1)))
        found, expected = (feature_grid(one, "layer", 1, grid) for one in (net, zeros))
        assert found.matches(expected)
        check_centres(zeros)

    @pytest.mark.parametrize(
        "split",
        [
            lambda x: (x[:, :2], x[:, 2:]),
            lambda x: (x[:, [0, 1]], x[:, torch.tensor([2, 3])]),
            lambda x: x.chunk(2, dim=1),
            lambda x: torch.split(x, 2, dim=1),
            lambda x: (x.index_select(1, torch.tensor([0, 2])), x[:, 1::2]),
        ],
    )
    def test_two_scans_apart_then_together(self, split):
        class Siamese(Net):
            def __init__(self):
                super().__init__(self.compare, channels=4)
                self.encoder = conv((3, 2, 2), channels=2, stride=2, padding=(1, 0, 1))
                nn.init.ones_(self.encoder.weight)

            def compare(self, x):
                prior, current = split(x)
                features = self.encoder(prior), self.encoder(current)
                return torch.cat([features[1] + features[0], features[0]], dim=1)

        check_centres(Siamese())


class TestDenseNet:
    @pytest.fixture
    def densenet121(self):
        return create_model("densenet121", ChannelLayout(("T1",)))

    def test_the_last_block_of_lumieres_native_size(self, densenet121):
        grid = oblique((240, 240, 155))
        found = feature_grid(densenet121, densenet121.cam_layers[0], 2, grid)
        assert found.shape == (7, 7, 4)
        for cell in ((0, 0, 0), (6, 6, 3), (2, 5, 1)):
            assert found.world(cell) == pytest.approx(grid.world(32 * np.array(cell) + 14))

    def test_every_cam_layer_in_closed_form(self, densenet121):
        grid = oblique((70, 66, 64))
        assert len(densenet121.cam_layers) == 4
        for layer, stride, offset in zip(
            densenet121.cam_layers, (32, 16, 8, 4), (14, 6, 2, 0), strict=True
        ):
            found = feature_grid(densenet121, layer, 2, grid)
            for cell in ((0, 0, 0), (1, 2, 3)):
                expected = grid.world(stride * np.array(cell) + offset)
                assert found.world(cell) == pytest.approx(expected)

    def test_shapes_are_those_of_a_real_pass(self):
        model = create_model("densenet_small", ChannelLayout(("T1",))).eval()
        shapes = {}
        for name, module in model.named_modules():
            if name in model.cam_layers:
                module.register_forward_hook(
                    lambda _m, _a, output, name=name: shapes.__setitem__(name, output.shape[2:])
                )
        model(torch.zeros(1, 2, 41, 38, 27))
        grid = oblique((41, 38, 27))
        for layer in model.cam_layers:
            assert feature_grid(model, layer, 2, grid).shape == tuple(shapes[layer])


# Network, stem, layer (coarse to fine), least size of the other axes, long axis and its size.
ARCHITECTURES = [
    *(("densenet_small", "concat", 0, 9, axis, 125) for axis in range(3)),
    ("densenet_small", "siamese", 0, 9, 1, 125),
    ("densenet_small", "concat+subtract", 1, 9, 2, 85),
    *(("resnet_small", "concat", 0, 9, axis, 133) for axis in range(3)),
    ("resnet_small", "siamese", 0, 9, 2, 133),
    ("resnet_small", "concat", 1, 9, 0, 90),
    ("resnet_small", "concat", 2, 9, 1, 60),
    ("resnet_small", "concat", 3, 9, 2, 40),
    ("resnet18", "concat", 3, 9, 1, 81),
    ("alexnet3d", "concat", 0, 18, 0, 181),
    ("alexnet3d", "concat", 1, 18, 2, 60),
    ("alexnet3d", "concat", 2, 18, 1, 40),
]


@pytest.mark.parametrize(("name", "stem", "layer", "least", "axis", "size"), ARCHITECTURES)
def test_networks_by_bright_voxels(name, stem, layer, least, axis, size):
    # Cells reach up to 70 voxels to each side, so that one axis at a time is long.
    shape = [size if axis == other else least + other for other in range(3)]
    model = create_model(name, ChannelLayout(("T1",)), stem=stem).eval()
    grid, layer = oblique(shape), model.cam_layers[layer]
    found = feature_grid(model, layer, 2, grid)
    response = features(model, layer, bright_line(shape, axis)).sum(dim=1)
    assert found.shape == tuple(response.shape[1:])
    cell = [0, 0, 0]
    cell[axis] = found.shape[axis] // 2
    (reached,) = np.nonzero(response[(slice(None), *cell)].numpy() > 0)
    assert 0 < reached[0] < reached[-1] < shape[axis] - 1
    centre = (reached[0] + reached[-1]) / 2
    assert grid.voxel(found.world(cell))[axis] == pytest.approx(centre)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("resnet18", [(32, 0), (16, 0), (8, 0), (4, 0)]),
        ("resnet_small", [(16, 0), (8, 0), (4, 0), (2, 0)]),
        ("alexnet3d", [(18, 8), (6, 2), (2, 0)]),
    ],
)
def test_every_cam_layer_of_other_networks_in_closed_form(name, cells):
    model = create_model(name, ChannelLayout(("T1",)))
    grid = oblique((70, 66, 64))
    for layer, (stride, offset) in zip(model.cam_layers, cells, strict=True):
        found = feature_grid(model, layer, 2, grid)
        for cell in ((0, 0, 0), (1, 2, 3)):
            assert found.world(cell) == pytest.approx(grid.world(stride * np.array(cell) + offset))


def bright_line(shape, axis):
    """One image a voxel along an axis, with all of its plane lit."""
    size = shape[axis]
    view = [size, 1, 1, 1, 1]
    view[2 + axis] = size
    return torch.eye(size).reshape(view).expand(size, 2, *shape)


def features(model, layer, inputs):
    """What a layer gives, with every weight made positive."""
    captured = []
    module = dict(model.named_modules())[layer]
    handle = module.register_forward_hook(lambda _m, _a, output: captured.append(output))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
        for part in inputs.split(25):
            model(part)
    handle.remove()
    return torch.cat(captured)


# Steps that do not keep places, all on shapes that a careless check takes for untouched.
MOVERS = {
    "flip": lambda x: x.flip(2),
    "torch.flip": lambda x: torch.flip(x, (4,)),
    "roll": lambda x: torch.roll(x, 1, 3),
    "rot90": lambda x: x.rot90(1, (2, 3)),
    "transpose": lambda x: x.transpose(2, 3),
    "swapaxes": lambda x: x.swapaxes(2, 4),
    "movedim": lambda x: torch.movedim(x, 2, 3),
    "permute": lambda x: x.permute(0, 1, 4, 2, 3),
    "mT": lambda x: x.mT,
    "einsum": lambda x: torch.einsum("bcijk->bckji", x),
    "reversed by a list": lambda x: x[:, :, list(range(11, -1, -1))],
    "reversed behind an ellipsis": lambda x: x[..., torch.arange(11, -1, -1)],
    "index_select": lambda x: x.index_select(2, torch.arange(11, -1, -1)),
    "gather": lambda x: x.gather(
        2, torch.arange(11, -1, -1, device=x.device).view(1, 1, 12, 1, 1).expand_as(x)
    ),
    "sum with its mirror image": lambda x: x + x.flip(2),
    "written over by its mirror image": lambda x: torch.empty_like(x).copy_(x.flip(2)),
    "assigned from its mirror image": lambda x: assigned(x.clone(), x.flip(2)),
    "assigned a step further": lambda x: assigned(x.clone(), x[:, :, :-1], 1),
    "a spatial transformer": lambda x: F.grid_sample(
        x,
        F.affine_grid(-torch.eye(3, 4, device=x.device)[None], list(x.shape), align_corners=False),
        align_corners=False,
    ),
    "a linear layer along k": nn.Linear(12, 12),
    "cumulative sum": lambda x: x.cumsum(2),
    "sorted": lambda x: x.sort(2).values,
    "spectrum": lambda x: torch.fft.fftn(x).real,
    "adaptive pooling": nn.AdaptiveAvgPool3d((5, 6, 4)),
    "up-sampling": nn.Upsample(scale_factor=2),
    "down and up": lambda x: F.interpolate(F.max_pool3d(x, 2), scale_factor=2),
    "transposed convolution": nn.ConvTranspose3d(1, 1, 2, stride=2),
    "cropping": lambda x: x[:, :, 1:],
    "flattening": lambda x: x.flatten(2).transpose(1, 2).transpose(1, 2).reshape(x.shape),
}


def assigned(target, value, start=0):
    target[:, :, start:] = value
    return target


class TestRefusals:
    @pytest.mark.parametrize("name", MOVERS)
    def test_what_moves_positions_is_refused(self, name):
        class Moving(Net):
            def forward(self, x):
                return self.layer(self.after(self.before(x))).mean(dim=(2, 3, 4))

        net = Moving(MOVERS[name])
        net.after = nn.Conv3d(1, 2, 1)
        with pytest.raises(ModelError, match=r"layer 'layer' .*cannot be placed in the scan"):
            feature_grid(net, "layer", 1, oblique((12, 12, 12)))

    def test_a_layer_before_the_moving_step_is_placed(self):
        network = nn.Sequential(
            conv((3, 3, 3), stride=2), nn.AdaptiveAvgPool3d(2), nn.Flatten(), nn.Linear(16, 4)
        )
        assert feature_grid(network, "0", 1, oblique(SHAPE)).shape == (6, 5, 4)
        with pytest.raises(ModelError, match="'1'"):
            feature_grid(network, "1", 1, oblique(SHAPE))

    def test_logits_are_no_feature_grid(self):
        network = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(SHAPE), 4))
        for layer in ("", "0", "1"):
            with pytest.raises(ModelError, match="cannot be placed"):
                feature_grid(network, layer, 1, oblique(SHAPE))

    def test_an_unknown_layer(self):
        with pytest.raises(ModelError, match="no module 'nowhere'"):
            feature_grid(Net(nn.Identity()), "nowhere", 1, oblique(SHAPE))

    def test_a_layer_that_is_not_reached(self):
        net = Net(nn.Identity())
        net.spare = nn.Conv3d(1, 1, 1)
        with pytest.raises(ModelError, match="'spare' is not reached"):
            feature_grid(net, "spare", 1, oblique(SHAPE))

    def test_a_layer_that_gives_a_tuple(self):
        class Tuple(Net):
            def forward(self, x):
                return self.layer((x, x))[0].mean(dim=(2, 3, 4))

        with pytest.raises(ModelError, match=r"'layer' .*cannot be placed"):
            feature_grid(Tuple(nn.Identity()), "layer", 1, oblique(SHAPE))

    def test_an_input_that_is_too_small_or_has_other_channels(self):
        net = Net(conv((5, 5, 5)))
        with pytest.raises(ModelError, match=r"\(1, 1, 4, 9, 9\)"):
            feature_grid(net, "layer", 1, oblique((4, 9, 9)))
        with pytest.raises(ModelError, match=r"\(1, 3, 9, 9, 9\)"):
            feature_grid(net, "layer", 3, oblique((9, 9, 9)))


class TestNothingIsTouched:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_weights_modes_hooks_and_random_state(self, dtype):
        model = create_model("densenet_small", ChannelLayout(("T1",))).to(dtype).train()
        model.backbone.features.norm0.eval()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        modes = [module.training for module in model.modules()]
        state = torch.get_rng_state()
        feature_grid(model, model.cam_layers[0], 2, oblique((33, 40, 25)))
        after = model.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert all(value.device.type == "cpu" for value in after.values())
        assert [module.training for module in model.modules()] == modes
        assert not any(module._forward_hooks for module in model.modules())
        assert all(parameter.grad is None for parameter in model.parameters())
        assert torch.equal(state, torch.get_rng_state())
