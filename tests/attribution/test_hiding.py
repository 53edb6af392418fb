"""Occlusion, Shapley values and supervoxels against closed forms and brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from toy_networks import SHAPE, Explainable, Linear, count_passes, explain, scans

from xrano.attribution.methods import Regions
from xrano.attribution.supervoxels import blocks, supervoxels
from xrano.errors import ConfigError


def labels():
    found = torch.zeros(SHAPE, dtype=torch.long)
    found[1:3, 1:4, :2] = 2
    found[4:, :2, 2:] = 7
    return found


REGIONS = Regions(labels(), {2: "core", 7: "oedema"})


class Product(Explainable):
    """Squares of weighted sums: players of every kind interact."""

    def __init__(self):
        super().__init__()
        self.linear = Linear()

    def forward(self, x):
        return self.linear(x).square() / 50 + self.linear(x).roll(1, dims=1)


def output(model, x, target=2):
    with torch.no_grad():
        return float(model(x[None] if x.ndim == 4 else x)[0, target])


class TestOcclusion:
    @pytest.mark.parametrize("occlude", ["pair", "visit", "channel"])
    def test_of_a_linear_network_in_closed_form(self, occlude):
        model, inputs = Linear(), scans()
        (found,) = explain(model, "occlusion_regions", regions=REGIONS, occlude=occlude)
        terms = (model.weight[2] * inputs[0]).detach()
        sets = {"pair": [[0, 1, 2, 3]], "visit": [[0, 1], [2, 3]], "channel": [[0], [1], [2], [3]]}
        assert len(found.values) == (1 if occlude == "pair" else 4)
        for label in (0, 2, 7):
            here = labels() == label
            for channels in sets[occlude]:
                worth = float(terms[channels][:, here].sum())
                rows = [0] if occlude == "pair" else channels
                assert found.values[rows][:, here].numpy() == pytest.approx(worth)

    def test_what_equals_its_infill_is_not_run(self):
        inputs = scans()
        inputs[:, :, :3] = 0
        model = Linear()
        passes = count_passes(model, lambda: explain(model, "occlusion", inputs=inputs, block=3))
        assert passes == 1 + 2 * 2, "the blocks of the half that is not zero, and the scans"
        (found,) = explain(model, "occlusion", inputs=inputs, block=3)
        assert not found.values[0, :3].any()
        assert found.values[0, 3:].all()
        assert found.details["parts"] == 4

    def test_from_the_prior_scan_the_prior_visit_counts_for_nothing(self):
        model = Product()
        (found,) = explain(model, "occlusion:prior", block=3, occlude="visit")
        assert not found.values[:2].any()
        assert found.values[2:].all()
        assert found.details["parts"] == 8

    def test_without_regions(self):
        with pytest.raises(ConfigError, match="none was given; occlusion and occlusion_superv"):
            explain(Linear(), "occlusion_regions")
        for bad in (torch.zeros(3, 3, 3, dtype=torch.long), torch.zeros(SHAPE)):
            with pytest.raises(ConfigError, match="needs integer labels"):
                explain(Linear(), "shapley_regions", regions=Regions(bad))


class TestShapley:
    def brute(self, model, inputs, players, infill):
        """The mean gain over all orders of the players."""
        total = dict.fromkeys(players, 0.0)

        def worth(present):
            x = infill[0].clone()
            for player in present:
                channels, here = players[player]
                for channel in channels:
                    x[channel][here] = inputs[0, channel][here]
            return output(model, x)

        for order in itertools.permutations(players):
            for position, player in enumerate(order):
                gain = worth(order[: position + 1]) - worth(order[:position])
                total[player] += gain / math.factorial(len(players))
        return total

    @pytest.mark.parametrize("kind", ["regions", "sequences"])
    def test_against_every_order(self, kind):
        model, inputs = Product(), scans()
        regions = Regions((labels() == 2).long(), {0: "rest", 1: "core"})
        everywhere = torch.ones(SHAPE, dtype=torch.bool)
        if kind == "sequences":
            names = Linear.layout.names
            players = {name: ([n], everywhere) for n, name in enumerate(names)}
        else:
            players = {
                f"{visit} {region}": (channels, regions.labels == value)
                for visit, channels in (("prior", [0, 1]), ("current", [2, 3]))
                for value, region in regions.names.items()
            }
        (found,) = explain(model, f"shapley_{kind}", regions=regions)
        expected = self.brute(model, inputs, players, torch.zeros_like(inputs))
        assert found.details["players"] == pytest.approx(expected)
        assert found.details["exact"]
        assert found.details["coalitions"] == 16
        for name, (channels, here) in players.items():
            painted = float(found.values[channels][:, here].sum())
            assert painted == pytest.approx(expected[name])

    def test_eight_players_are_exact_and_ten_are_drawn(self):
        wide = torch.arange(6).view(6, 1, 1).expand(SHAPE)
        model = Product()
        (eight,) = explain(model, "shapley_regions", regions=Regions((wide % 4).contiguous()))
        assert eight.details["exact"]
        assert eight.details["coalitions"] == 256
        ten = Regions((wide % 5).contiguous())
        (drawn,) = explain(model, "shapley_regions", regions=ten, permutations=60)
        assert not drawn.details["exact"]
        change = output(model, scans()[0]) - output(model, 0 * scans()[0])
        assert float(drawn.values.sum()) == pytest.approx(change), "every order adds up"
        errors = drawn.details["standard_errors"]
        assert set(errors) == set(drawn.details["players"])
        # A square of a sum: Shapley values are halves of the interactions, whatever the order.
        terms = (model.linear.weight * scans()).detach().sum(dim=(3, 4))
        for name, value in drawn.details["players"].items():
            visit, region = name.split()
            channels = [0, 1] if visit == "prior" else [2, 3]
            rows = [r for r in range(6) if r % 5 == int(region)]
            own = terms[:, channels][:, :, rows].sum(dim=(1, 2))
            everyone = terms.sum(dim=(1, 2))
            exact = float(own[2] * everyone[2] / 50 + own[1])
            assert value == pytest.approx(exact, abs=1e-9), "orders and their reverses are exact"

    def test_a_linear_network_is_shared_out_term_by_term(self):
        model, inputs = Linear(), scans()
        ten = Regions(blocks(SHAPE, 3))
        (found,) = explain(model, "shapley_regions", [1], regions=ten, permutations=2)
        for name, value in found.details["players"].items():
            visit, block = name.split()
            channels = [0, 1] if visit == "prior" else [2, 3]
            here = ten.labels == int(block)
            terms = (model.weight[1] * inputs[0]).detach()[channels][:, here]
            assert value == pytest.approx(float(terms.sum()))

    def test_from_the_prior_scan_only_the_current_visit_plays(self):
        model = Product()
        (found,) = explain(model, "shapley_regions:prior", regions=REGIONS)
        assert found.details["coalitions"] == 2**3
        played = {name for name, value in found.details["players"].items() if value}
        assert played == {"current 0", "current core", "current oedema"}
        assert not found.values[:2].any()
        assert found.convergence_delta == pytest.approx(0, abs=1e-12)


class TestSupervoxels:
    def test_blocks_are_counted_and_cut_off(self):
        found = blocks((5, 4, 3), 2)
        assert found.max() + 1 == 3 * 2 * 2
        assert torch.equal(torch.unique(found), torch.arange(12))
        assert found[4, 3, 2] == 11

    def test_they_follow_an_edge(self):
        generator = torch.Generator().manual_seed(0)
        scan = 0.05 * torch.randn(1, 16, 16, 16, generator=generator)
        inside = torch.zeros(16, 16, 16, dtype=torch.bool)
        inside[3:9, 4:11, 5:12] = True
        scan[0][inside] += 1
        found = supervoxels(scan, torch.ones(16, 16, 16, dtype=torch.bool), 60)

        def impurity(regions):
            counts = [
                min(int((inside & here).sum()), int((~inside & here).sum()))
                for here in (regions == value for value in torch.unique(regions))
            ]
            return sum(counts)

        assert impurity(found) < 0.1 * impurity(blocks((16, 16, 16), 4))

    def test_outside_the_brain_is_label_0_and_numbers_have_no_gaps(self):
        brain = torch.zeros(9, 8, 7, dtype=torch.bool)
        brain[2:7, 1:6, 2:6] = True
        found = supervoxels(scans(shape=(9, 8, 7))[0], brain, 12)
        assert torch.equal(found == 0, ~brain)
        values = torch.unique(found)
        assert torch.equal(values, torch.arange(len(values)))
        assert 6 <= len(values) - 1 <= 40
        assert not supervoxels(scans(shape=(9, 8, 7))[0], torch.zeros_like(brain), 12).any()

    def test_the_same_again(self):
        brain = torch.ones(SHAPE, dtype=torch.bool)
        first, second = (supervoxels(scans()[0], brain, 9) for _ in range(2))
        assert torch.equal(first, second)
        assert np.unique(first).size > 1
