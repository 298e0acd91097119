import pytest
import torch

from sartor import models
from sartor.cost import CostModel
from sartor.graph import trace
from sartor.policy import Policy
from sartor.problem import Multiples, SearchSpace


@pytest.mark.parametrize(
    ("channels", "size", "expected"),
    [
        (8, 512, 8),
        (8, 64, 8),
        (8, 63, 4),
        (8, 32, 4),
        (8, 31, 2),
        (8, 16, 2),
        (8, 15, 1),
        (8, 1, 1),
        (1, 512, 1),
        (6, 48, 6),
        (6, 47, 3),
        (6, 23, 2),
    ],
)
def test_every_group_has_eight_choices_or_all_there_are(channels, size, expected):
    assert Multiples(channels).within(size) == expected


def test_they_are_said_in_words():
    assert str(Multiples(1)) == "1"
    assert str(Multiples(2)) == "2, but 1 in groups below 16 channels"
    assert str(Multiples(4)) == "4, but 2 in groups below 32 channels, 1 below 16"


def test_groups_follow_their_sizes_and_a_number_holds_for_all():
    model = models.build("resnet20").eval()
    cost_model = CostModel(trace(model, torch.zeros(1, 3, 32, 32)))
    steps = {}
    for decision in SearchSpace(multiple=Multiples(8)).decisions(cost_model, Policy()):
        *_, before, last = decision.choices
        steps[decision.size] = last - before
    assert steps == {16: 2, 32: 4, 64: 8}

    for decision in SearchSpace(multiple=8).decisions(cost_model, Policy()):
        *_, before, last = decision.choices
        assert last - before == 8
