import pytest
import torch
from torch import nn

from xrano.training.loss import Loss, label_shares

LOGITS = torch.tensor([[2.0, -1.0, 0.3, 0.1], [0.2, 0.4, -3.0, 1.0], [0.0, 0.0, 5.0, 1.0]])
TRUTH = torch.tensor([0, 3, 1])
WEIGHTS = torch.tensor([0.5, 2.0, 1.0, 3.0])


def test_hard_labels_are_torchs_cross_entropy_with_class_weights():
    found = Loss(label_shares(4), WEIGHTS)(LOGITS, TRUTH)
    expected = nn.functional.cross_entropy(LOGITS, TRUTH, weight=WEIGHTS)
    torch.testing.assert_close(found, expected)


def test_focus_without_weights_is_the_focal_loss_by_hand():
    found = Loss(label_shares(4), torch.ones(4), focal_gamma=2.0)(LOGITS, TRUTH)
    p = torch.softmax(LOGITS, dim=1)[torch.arange(3), TRUTH]
    torch.testing.assert_close(found, (-((1 - p) ** 2) * p.log()).mean())


def test_ordinal_labels_are_torchs_cross_entropy_of_probabilities():
    shares = label_shares(4, ordinal_scale=1.5)
    found = Loss(shares, torch.ones(4))(LOGITS, TRUTH)
    torch.testing.assert_close(found, nn.functional.cross_entropy(LOGITS, shares[TRUTH]))


def test_ordinal_shares_fall_with_the_distance_and_a_steep_scale_is_hard():
    shares = label_shares(4, ordinal_scale=1.0)
    assert torch.all(shares[0, :-1] > shares[0, 1:])
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(4))
    torch.testing.assert_close(shares, shares.flip(0, 1))
    torch.testing.assert_close(label_shares(4, ordinal_scale=60.0), torch.eye(4))


def test_confidence_weighs_a_sample_and_none_at_all_leaves_it_out():
    loss = Loss(label_shares(4), WEIGHTS)
    without_last = loss(LOGITS[:2], TRUTH[:2])
    torch.testing.assert_close(loss(LOGITS, TRUTH, torch.tensor([1.0, 1.0, 0.0])), without_last)
    halves = loss(LOGITS, TRUTH, torch.full((3,), 0.5))
    torch.testing.assert_close(halves, loss(LOGITS, TRUTH))


def test_a_batch_without_any_confidence_is_zero_with_zero_gradient():
    logits = LOGITS.clone().requires_grad_(True)
    loss = Loss(label_shares(4), WEIGHTS)(logits, TRUTH, torch.zeros(3))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert torch.count_nonzero(logits.grad) == 0


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_the_gradient_is_that_of_finite_differences(gamma):
    shares = label_shares(4, ordinal_scale=1.0).double()
    loss = Loss(shares, WEIGHTS.double(), focal_gamma=gamma)
    confidence = torch.tensor([0.2, 1.0, 0.7], dtype=torch.float64)
    logits = LOGITS.double().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: loss(x, TRUTH, confidence), logits)


@pytest.mark.parametrize("parts", [[[0, 2], [1]], [[0], [1], [2]], [[0, 1, 2], []]])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_parts_of_a_batch_add_up_to_its_loss_and_its_gradient(parts, gamma):
    loss = Loss(label_shares(4, ordinal_scale=1.0), WEIGHTS, focal_gamma=gamma)
    confidence = torch.tensor([0.2, 1.0, 0.7])
    whole = LOGITS.clone().requires_grad_(True)
    expected = loss(whole, TRUTH, confidence)
    expected.backward()
    total = loss.weight(TRUTH, confidence)
    shared = LOGITS.clone().requires_grad_(True)
    found = [loss(shared[rows], TRUTH[rows], confidence[rows], total=total) for rows in parts]
    sum(found).backward()
    torch.testing.assert_close(sum(found), expected)
    torch.testing.assert_close(shared.grad, whole.grad)
    # Each part's own mean would be another loss.
    own = [loss(LOGITS[rows], TRUTH[rows], confidence[rows]) for rows in parts if rows]
    if len(own) > 1:
        assert abs(float(sum(own) / len(own) - expected.detach())) > 1e-3


def test_the_weight_of_a_batch_is_by_hand():
    loss = Loss(label_shares(4), WEIGHTS)
    assert float(loss.weight(TRUTH)) == 0.5 + 3.0 + 2.0
    assert float(loss.weight(TRUTH, torch.tensor([1.0, 0.5, 0.0]))) == 0.5 + 1.5
