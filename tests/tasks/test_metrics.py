"""Metrics, divergences, losses and labels of the shipped tasks, on outputs worked out by hand."""

import math
import sys

import pytest
import torch

from sartor.errors import DataError, MissingPackageError, UsageError
from sartor.tasks import (
    TASKS,
    AveragePrecision,
    Detection,
    Detections,
    Embedding,
    MultiLabel,
    Regression,
    Segmentation,
    as_task,
)

NAN = float("nan")


def measured(task, outputs, labels):
    meter = task.meter()
    # In two batches, of which the metric must not know.
    half = len(labels) // 2
    meter.update(tuple(item[:half] for item in outputs), labels[:half])
    meter.update(tuple(item[half:] for item in outputs), labels[half:])
    return meter.compute()


def test_every_task_has_a_name_and_a_metric():
    assert set(TASKS) == {
        "classification",
        "classification-top5",
        "multi-label",
        "segmentation",
        "regression",
        "detection",
        "embedding",
    }
    metrics = {name: as_task(name).metric for name in TASKS}
    assert metrics["classification-top5"] == "top-5"
    assert metrics["detection"] == "mAP"
    assert all(as_task(name).name == name for name in TASKS)


def test_average_precision_of_labels_is_their_mean():
    """The first label is ranked 1, 0, 1: precisions 1 and 2/3. The second perfectly."""
    logits = torch.tensor([[3.0, 9.0], [2.0, 8.0], [1.0, -9.0], [0.0, -8.0]])
    labels = torch.tensor([[1, 1], [0, 1], [1, 0], [0, 0]])
    assert measured(MultiLabel(), (logits,), labels) == pytest.approx((5 / 6 + 1) / 2)


def test_answers_of_labels_diverge_in_nats():
    """Sure of one half against sure of three quarters, twice."""
    half, more = torch.zeros(1, 2), torch.full((1, 2), math.log(3))
    wanted = 2 * (0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25))
    assert float(MultiLabel().divergences((half,), (more,))) == pytest.approx(wanted)
    assert float(MultiLabel().divergences((torch.tensor([[NAN, 0.0]]),), (half,))) == 100


def test_intersection_over_union_counts_all_pixels_together():
    """Class 0: 2 of 3. Class 1: 2 of 3. Class 2: 1 of 1. A pixel does not count."""
    found = torch.tensor([[[0, 0, 1]], [[1, 1, 2]]])
    wanted = torch.tensor([[[0, 0, 0]], [[1, 1, 2]]])
    scores = torch.nn.functional.one_hot(found, 3).movedim(-1, 1).float()
    assert measured(Segmentation(), (scores,), wanted) == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    ignored = wanted.clone()
    ignored[0, 0, 2] = 255
    assert measured(Segmentation(), (scores,), ignored) == 1


def test_small_maps_of_classes_are_enlarged():
    scores = torch.zeros(2, 2, 1, 1)
    scores[:, 1] = 5
    labels = torch.ones(2, 4, 4, dtype=torch.long)
    assert measured(Segmentation(), (scores,), labels) == 1
    assert float(Segmentation().loss((scores,), labels)) == pytest.approx(math.log1p(math.exp(-5)))


def test_explained_variance_may_be_negative():
    labels = torch.tensor([0.0, 1.0, 2.0, 3.0])
    assert measured(Regression(), (labels + 1,), labels) == pytest.approx(1 - 4 / 5)
    assert measured(Regression(), (labels + 5,), labels) < 0
    assert measured(Regression(), (torch.full((4,), NAN),), labels) == pytest.approx(1 - 14 / 5)
    heads = (labels[:, None], 2 * labels)
    assert measured(Regression(), heads, torch.stack((labels, 2 * labels), 1)) == 1


def test_numbers_near_zero_do_not_make_distances_endless():
    original = torch.tensor([0.0, 2.0])
    candidate = torch.tensor([1.0, 2.0])
    found = Regression().divergences((candidate,), (original,))
    assert found.tolist() == [0.5, 0.0]  # by the mean square, 2


def test_directions_are_compared_by_their_cosine():
    found = torch.tensor([[1.0, 0.0], [1.0, 1.0], [-1.0, 0.0], [NAN, 0.0]])
    wanted = torch.tensor([[9.0, 0.0]] * 4)
    task = Embedding()
    assert task.hits((found,), wanted).tolist() == pytest.approx([1, math.sqrt(0.5), 0, 0])
    far = task.divergences((found,), (wanted,))
    assert far.tolist() == pytest.approx([0, 1 - math.sqrt(0.5), 2, 100])


BOX = [10.0, 10.0, 20.0, 20.0]


def precision(boxes, scores, classes, labels):
    found = Detections(
        torch.tensor([boxes]), torch.tensor([scores]), torch.tensor([classes], dtype=torch.long)
    )
    metric = AveragePrecision()
    metric.add(found, torch.tensor([labels]))
    return metric.compute()


def test_a_box_that_is_found_twice_is_right_once():
    """Precisions 1 and then 1/2 at the same recall: only what comes before the last one counts."""
    assert precision([BOX, BOX], [0.9, 0.8], [0, 0], [[*BOX, 0]]) == 1
    assert precision([[0.0, 0, 5, 5], BOX], [0.9, 0.8], [0, 0], [[*BOX, 0]]) == 0.5


def test_classes_and_missing_boxes_count():
    other = [40.0, 40.0, 50.0, 50.0]
    assert precision([BOX], [0.9], [1], [[*BOX, 0]]) == 0
    # Half of the recalls, of which there are 101, are reached: 0 to 0.5.
    assert precision([BOX], [0.9], [0], [[*BOX, 0], [*other, 0]]) == pytest.approx(51 / 101)
    assert precision([BOX], [0.9], [0], [[*BOX, 0], [*other, 3]]) == 0.5
    assert precision([BOX], [0.9], [0], [[*BOX, 0], [*other, -1]]) == 1
    assert precision([BOX], [0.0], [0], [[*BOX, 0]]) == 0  # a score of 0 is none
    assert precision([BOX], [0.9], [0], [[*other, -1]]) == 0


def centres(task, classes=2, height=4, width=6):
    """A map and the label that it says."""
    maps = torch.full((1, classes + 4, height, width), -9.0)
    maps[0, :, 1, 3] = torch.tensor([-9.0, 9.0, 0.25, 0.5, math.log(0.5), 0.0])
    x, y = 3.25 * task.stride, 1.5 * task.stride
    half, whole = task.size / 4, task.size / 2
    return maps, torch.tensor([[[x - half, y - whole, x + half, y + whole, 1.0]]])


def test_maps_are_decoded_as_they_are_trained():
    task = Detection(stride=8, size=10)
    maps, labels = centres(task)
    found = task.decode((maps,))
    assert torch.allclose(found.boxes[0, 0], labels[0, 0, :4])
    assert int(found.classes[0, 0]) == 1
    meter = task.meter()
    meter.update((maps,), labels)
    assert meter.compute() == 1

    right = float(task.loss((maps,), labels))
    wrong = maps.clone()
    wrong[0, 2, 1, 3] += 0.5
    assert right < 0.01
    assert float(task.loss((wrong,), labels)) == pytest.approx(right + 0.5)
    nothing = torch.full((1, 3, 5), -1.0)
    assert float(task.loss((torch.full((1, 6, 4, 6), -9.0),), nothing)) == pytest.approx(
        0, abs=1e-3
    )


def test_distances_of_maps_count_where_there_are_objects():
    task = Detection()
    maps, _ = centres(task)
    assert float(task.divergences((maps,), (maps,))) == 0
    elsewhere, here = maps.clone(), maps.clone()
    elsewhere[0, -1, 0, 0] += 3
    here[0, -1, 1, 3] += 3
    # Sure of 1/8103 there.
    assert float(task.divergences((elsewhere,), (maps,))) < 0.01
    assert float(task.divergences((here,), (maps,))) == pytest.approx(9, rel=0.01)
    assert float(task.divergences((maps * NAN,), (maps,))) == 100


def test_labels_move_with_their_images():
    down, right = torch.tensor([2, 0]), torch.tensor([-1, 0])
    maps = torch.arange(24).view(2, 3, 4)
    moved = Segmentation().shifted(maps, down, right, (3, 4))
    assert moved[0].tolist() == [[255] * 4, [255] * 4, [1, 2, 3, 255]]
    assert torch.equal(moved[1], maps[1])
    assert Segmentation().mirrored(maps, 4)[0, 0].tolist() == [3, 2, 1, 0]
    with pytest.raises(UsageError, match=r"labels have shape \(3, 4\), images \(6, 8\)"):
        Segmentation().shifted(maps, down, right, (6, 8))

    boxes = torch.tensor([[[1.0, 2.0, 3.0, 6.0, 4.0], [0.0, 6.0, 2.0, 8.0, 1.0]]] * 2)
    moved = Detection().shifted(boxes, down, right, (8, 8))
    assert moved[0].tolist() == [[0, 4, 2, 8, 4], [0, 8, 1, 8, -1]]
    assert torch.equal(moved[1], boxes[1])
    assert Detection().mirrored(boxes, 8)[0, 0].tolist() == [5, 2, 7, 6, 4]


@pytest.mark.parametrize(
    ("task", "shape", "labels", "message"),
    [
        ("multi-label", (3, 4), torch.zeros(2, 3), r"must be one logit per label"),
        ("multi-label", (3,), torch.zeros(2, 4), r"labels have shape \(4,\) each"),
        ("multi-label", (3,), torch.full((2, 3), 2), "labels range from 2 to 2"),
        ("segmentation", (3,), torch.zeros(2, 4, 4), r"scores of at least two classes for each"),
        ("segmentation", (3, 4, 4), torch.zeros(2, 4, 4), "float32 of shape"),
        ("segmentation", (3, 4, 4), torch.full((2, 4, 4), 3), "0 to 2, and 255 for"),
        ("segmentation", (3, 4, 4), torch.full((2, 4, 4), 255), "all pixels are labelled 255"),
        ("regression", (3,), torch.zeros(2), "gives 3 numbers, a label has 1"),
        ("regression", (1,), torch.full((2,), NAN), "NaN or infinite"),
        ("detection", (4, 8, 8), torch.zeros(2, 3, 5), r"\(classes \+ 4, height, width\)"),
        ("detection", (6, 8, 8), torch.zeros(2, 5), r"must be \(boxes, 5\)"),
        ("detection", (6, 8, 8), torch.full((2, 1, 5), 2.0), "have the class 2; allowed .* 0 to 1"),
        ("detection", (6, 8, 8), torch.zeros(2, 1, 5), "box without an area"),
        ("embedding", (1,), torch.zeros(2, 1), "at least two dimensions"),
        ("embedding", (3,), torch.zeros(2), "with_own_labels"),
    ],
)
def test_what_is_not_of_a_task_is_refused(task, shape, labels, message):
    with pytest.raises((UsageError, DataError), match=message):
        as_task(task).require((torch.zeros(2, *shape),), labels)


def test_without_torchmetrics_the_line_that_installs_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.regression", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'sartor\[tasks\]'"):
        measured(Regression(), (torch.zeros(4),), torch.zeros(4))
