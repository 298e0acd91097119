import pytest
import torch

import sartor
from sartor import data, models
from sartor.graph import trace
from sartor.scoring import ImageScorer


@pytest.mark.parametrize(
    ("name", "accuracy", "count"), [("resnet20", 0.9173, 1000), ("resnet18", 0.9286, 300)]
)
def test_trained_networks_load_with_their_key_names_and_reach_their_accuracy(
    name, accuracy, count, shared
):
    weights = shared / f"models/{name}-cifar10.safetensors"
    known = models.known_preprocessing("", weights)
    loaded = data.load(shared / "data/cifar10", calibration=1, preprocessing=known)
    images = loaded.test.slice(0, count)
    model = models.build(name, classes=10, pixels=32)
    models.load_weights(model, weights)
    score = ImageScorer(images, dtype=torch.float32).score(
        trace(model, torch.zeros(1, 3, 32, 32)).module
    )
    assert score.accuracy == pytest.approx(
        accuracy, abs=3 * (accuracy * (1 - accuracy) / count) ** 0.5
    )


def test_a_pruned_resnet20_keeps_most_of_its_accuracy(shared):
    """Half the MACs, no fine-tuning; slicing alone loses a tenth more.

    Distiller's AMC reports 77.1 for its best.
    """
    weights = shared / "models/resnet20-cifar10.safetensors"
    known = models.known_preprocessing("", weights)
    loaded = data.load(shared / "data/cifar10", calibration=512, preprocessing=known)
    images = sartor.Data(loaded.calibration, loaded.validation.slice(0, 1000))
    model = models.build("resnet20", classes=10, pixels=32)
    models.load_weights(model, weights)
    accuracy = {}
    for refit in ("pruned", "none"):
        compress = sartor.CompressOptions(images=128, final_images=512, refit=refit)
        options = sartor.SearchOptions(
            agent="knapsack", episodes=1, seed_with=(), baselines=(), finalists=1, compress=compress
        )
        report = sartor.compress(model, images, budget="macs<=50%", options=options).report
        assert 0.49 < report["best"]["ratio"]["macs"] <= 0.5
        accuracy[refit] = report["best"]["validation"]
    assert accuracy["pruned"] > 0.78
    assert accuracy["none"] < accuracy["pruned"] - 0.1
