from collections import OrderedDict

import pytest
import torch
from torch import nn

import sartor
import topologies
from sartor.data import Data, Images
from sartor.errors import DataError, UsageError
from sartor.scoring import require_scorable
from sartor.tasks import CLASSIFICATION, first_tensor, output_shapes

SCORES = torch.zeros(2, 10)
LABELS = torch.tensor([0, 1, 9])


@pytest.mark.parametrize(
    "output",
    [
        SCORES,
        (SCORES, torch.zeros(1)),
        [SCORES],
        {"logits": SCORES, "loss": torch.zeros(1)},
        {"loss": None, "logits": SCORES},
        ((), (None, (SCORES,))),
        OrderedDict(outputs=[SCORES]),
    ],
)
def test_the_first_tensor_is_the_class_scores(output):
    assert first_tensor(output) is SCORES


@pytest.mark.parametrize("output", [None, (), {}, "cat", 3, [None, ("a", {})]])
def test_outputs_without_a_tensor_are_refused(output):
    with pytest.raises(
        UsageError, match=rf"the network returns {type(output).__name__} without a tensor; allowed"
    ):
        first_tensor(output)


class Answers(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x):
        return self.answer(x)


@pytest.mark.parametrize(
    ("answer", "shape"),
    [
        (lambda x: x.flatten(1), (12,)),
        (lambda x: (x.mean((2, 3)), x), (3,)),
        (lambda x: x, (3, 2, 2)),
        (lambda x: x.sum((1, 2, 3)), ()),
    ],
)
def test_the_shape_of_outputs_is_without_the_batch(answer, shape):
    assert output_shapes(
        Answers(answer), torch.zeros(2, 3, 2, 2), "the network", CLASSIFICATION
    ) == (shape,)


def test_shapes_are_those_in_evaluation_mode():
    """In training mode a batch norm cannot normalise one value per channel."""
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(3)).train()
    assert output_shapes(network, torch.zeros(1, 3, 1, 1), "the network", CLASSIFICATION) == ((3,),)
    assert not network.training


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: x.flatten(1) @ torch.zeros(5, 2), r"the net cannot run on images of shape \(3"),
        (lambda x: x.mean((0, 2, 3)), r"the net returns a tensor of shape \(3,\) for 2 images"),
        (lambda x: x.sum(), r"the net returns a tensor of shape \(\) for 2 images; allowed is one"),
        (lambda x: x.mean(0, keepdim=True), r"shape \(1, 3, 4, 5\) for 2 images"),
        (lambda x: "cat", "the network returns str"),
    ],
)
def test_networks_that_do_not_answer_each_image_are_refused(answer, message):
    with pytest.raises(UsageError, match=message):
        output_shapes(Answers(answer), torch.zeros(2, 3, 4, 5), "the net", CLASSIFICATION)


def require_classes(shape, labels):
    CLASSIFICATION.require((torch.zeros(2, *shape),), labels)


@pytest.mark.parametrize(
    ("classes", "labels"),
    [(10, LABELS), (2, torch.tensor([0, 1])), (1000, LABELS.to(torch.uint8))],
)
def test_labels_among_the_scores_are_taken(classes, labels):
    require_classes((classes,), labels)


@pytest.mark.parametrize("labels", [torch.zeros(4, 1).long(), torch.zeros(4)])
def test_labels_that_are_no_class_numbers_are_refused(labels):
    with pytest.raises(DataError, match=r"one whole number per image, of shape \(4,\)"):
        require_classes((10,), labels)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (10, 1), (3, 8, 8)])
def test_outputs_that_are_no_scores_of_classes_are_refused(shape):
    with pytest.raises(UsageError, match="allowed are scores of at least two classes") as caught:
        require_classes(shape, LABELS)
    assert f"outputs have shape {shape};" in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 10]), "labels range from 0 to 10; allowed are .* 0 to 9$"),
        (torch.tensor([-1, 9]), "labels range from -1 to 9"),
    ],
)
def test_labels_of_other_classes_are_refused(labels, message):
    with pytest.raises(DataError, match=message):
        require_classes((10,), labels)


def images(labels, channels=3, size=2):
    return Images(torch.zeros(len(labels), channels, size, size), labels)


def test_all_that_will_be_scored_is_checked():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 10))
    good = images(LABELS)
    require_scorable(network, Data(good, good, good))
    require_scorable(network, Data(images(torch.tensor([99])), good))  # not scored
    require_scorable(network, Data(good, images(LABELS[:1])))
    too_many = images(torch.tensor([0, 1, 10]))
    for data in (Data(good, too_many), Data(good, good, too_many)):
        with pytest.raises(DataError, match="labels range from 0 to 10"):
            require_scorable(network, data)
    large = images(LABELS, size=4)
    with pytest.raises(UsageError, match=r"the network cannot run on images of shape \(3, 4, 4\)"):
        require_scorable(network, Data(large, large))


@pytest.mark.parametrize("evaluated", [True, False])
def test_a_search_begins_with_labels_that_can_be_scored(evaluated, monkeypatch):
    """Nothing that takes long has begun by then. Only a measure of the user's needs no labels."""
    split = Images(torch.randn(8, 3, 16, 16), torch.full((8,), 99))
    begun = []
    monkeypatch.setattr(
        "sartor.problem.Problem.of", lambda *_, **__: begun.append(True) or pytest.fail("begun")
    )
    evaluate = (lambda model: 0.5) if evaluated else None
    expected = pytest.fail.Exception if evaluated else DataError
    with pytest.raises(expected, match=r"begun|labels range from 99 to 99"):
        sartor.compress(topologies.Residual(), Data(split, split), evaluate=evaluate)
    assert begun == [True] * evaluated
