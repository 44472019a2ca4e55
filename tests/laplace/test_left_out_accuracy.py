"""Left-out accuracy against layers that are trained again without each label."""

import pytest
import torch

from alupdate.laplace.left_out_accuracy import left_out_accuracy, left_out_hits
from alupdate.models.training import optimal_linear


def problem(seed, count=40, classes=3, spread=1.0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    centres = torch.randn(classes, 4, generator=generator, dtype=torch.float64)
    noise = spread * torch.randn(count, 4, generator=generator, dtype=torch.float64)
    ones = torch.ones(count, 1, dtype=torch.float64)
    return torch.cat([centres[labels] + noise, ones], dim=1), labels


@pytest.mark.parametrize("seed", range(5))
def test_it_is_that_of_layers_trained_again(seed):
    rows, labels = problem(seed)
    decay = 0.02
    mean = optimal_linear(rows, labels, 3, decay)
    hits = []
    for i in range(len(rows)):
        rest = torch.arange(len(rows)) != i
        # the penalty is of the mean loss: the same prior for one label fewer
        less = decay * len(rows) / (len(rows) - 1)
        without = optimal_linear(rows[rest], labels[rest], 3, less)
        hits.append(bool((rows[i] @ without.T).argmax() == labels[i]))
    found = left_out_hits(mean, rows, labels)
    assert (found != torch.tensor(hits)).sum() <= 2  # one step of Newton's method, not to its end
    learnt = ((rows @ mean.T).argmax(dim=1) == labels).double().mean().item()
    accuracy = left_out_accuracy(mean, rows, labels)
    assert accuracy == pytest.approx(sum(hits) / len(hits), abs=2 / len(hits) + 1e-9)
    assert accuracy <= learnt


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_labels_have_none(count):
    rows, labels = problem(0, count=max(count, 1))
    assert left_out_accuracy(torch.ones(3, 5), rows[:count], labels[:count]) is None


def test_weights_that_do_not_point_to_the_labels_have_none():
    rows, labels = problem(1)
    assert left_out_accuracy(torch.zeros(3, 5), rows, labels) is None
    assert left_out_accuracy(-optimal_linear(rows, labels, 3, 0.02), rows, labels) is None
