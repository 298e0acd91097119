"""Repair of candidates by what the original answers."""

import dataclasses

import pytest
import torch

import sartor
from sartor.compression import CompressOptions, Compressor, is_quantized
from sartor.data import Images
from sartor.errors import DataError, UsageError
from sartor.finetune import FinetuneOptions, Training, found_rate
from sartor.graph import trace
from sartor.machine import Note
from sartor.pipeline import SearchOptions
from sartor.policy import Policy
from sartor.repair import RepairOptions, repair
from sartor.runs import Run
from sartor.scoring import ImageScorer

QUICK = RepairOptions(shown=4096, batch=64, rounds=4)


@pytest.fixture(scope="module")
def images():
    return sartor.data.load("digits", calibration=sartor.data.ALL).calibration


@pytest.fixture(scope="module")
def compressor(model, images):
    few = images.normalized()[:256]
    # Rounded together there would be hardly anything to repair.
    options = CompressOptions(images=32, final_images=64, rounding="nearest")
    return Compressor(trace(model, few[:1]), few, options)


def policies(compressor):
    layers = [layer.name for layer in compressor.network.layers]
    return {
        "channels": Policy(channels={group.name: 0.4 for group in compressor.network.groups}),
        "weights": Policy(weights=dict.fromkeys(layers, 0.15)),
        "bits": Policy(
            weight_bits=dict.fromkeys(layers, 3), activation_bits=dict.fromkeys(layers, 4)
        ),
    }


def divergence(network, compressor, images):
    scorer = ImageScorer(images, original=compressor.network.module)
    return scorer.score(network).divergence


@pytest.mark.parametrize("kind", ["channels", "weights", "bits"])
def test_it_brings_the_outputs_nearer_on_images_that_nothing_has_seen(
    compressor, images, data, kind
):
    policy = policies(compressor)[kind]
    candidate = compressor.candidate(policy, final=True)
    before = candidate.state_dict()
    kept = {name: tensor.clone() for name, tensor in before.items()}

    longer = dataclasses.replace(QUICK, shown=16_384)
    found = repair(candidate, compressor.network.module, images, longer, policy=policy)
    assert found.after < found.before
    unseen = data.test
    assert divergence(found.model, compressor, unseen) < 0.85 * divergence(
        candidate, compressor, unseen
    )
    # What was given is as it was.
    assert all(torch.equal(before[name], tensor) for name, tensor in kept.items())
    assert is_quantized(found.model) == (kind == "bits")
    if kind == "weights":
        for layer in policy.weights:
            name = f"{layer}.weight"
            zeros = kept[name] == 0
            assert torch.equal(found.model.state_dict()[name] == 0, zeros)
            assert zeros.any()


def test_labels_are_not_looked_at(compressor, images):
    candidate = compressor.candidate(policies(compressor)["channels"])
    wrong = dataclasses.replace(images, labels=images.labels.flip(0))
    quick = dataclasses.replace(QUICK, shown=512)
    found, other = (
        repair(candidate, compressor.network.module, shown, quick) for shown in (images, wrong)
    )
    mine, theirs = found.model.state_dict(), other.model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("kind", ["channels", "bits"])
def test_one_that_was_interrupted_ends_where_an_uninterrupted_one_does(
    compressor, images, tmp_path, kind
):
    candidate = compressor.candidate(policies(compressor)[kind])
    original = compressor.network.module
    whole = repair(candidate, original, images, QUICK)

    def stop(done):
        if done.number == 1:
            raise KeyboardInterrupt

    path = tmp_path / "repair.safetensors"
    with pytest.raises(KeyboardInterrupt):
        repair(candidate, original, images, QUICK, checkpoint=path, on_round=stop)
    resumed = repair(candidate, original, images, QUICK, checkpoint=path)
    assert resumed.learning_rate == whole.learning_rate
    mine, theirs = resumed.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)

    # One that has ended is not done again.
    again = repair(
        candidate,
        original,
        images,
        QUICK,
        checkpoint=path,
        on_round=lambda done: pytest.fail("again"),
    )
    assert again.after == whole.after


def test_what_cannot_be_mended_comes_back_as_it_was(compressor, images):
    original = compressor.network.module
    found = repair(original, original, images, QUICK)
    assert found.model is original
    assert found.before == found.after == pytest.approx(0, abs=1e-6)


def test_it_ends_once_it_gets_worse_round_after_round(compressor, images, monkeypatch):
    distances = iter([5.0, 1.0, 2.0, 1.5, 3.0, 3.0, 4.0, 3.0, 5.0, 3.0, 6.0, 3.0, 7.0, 3.0])
    monkeypatch.setattr(
        "sartor.repair._held_out.HeldOut.distance", lambda self, network: next(distances)
    )
    candidate = compressor.candidate(policies(compressor)["channels"])
    found = repair(
        candidate,
        compressor.network.module,
        images,
        dataclasses.replace(QUICK, rounds=8, patience=2),
    )
    # Each round is looked at alone, then as the mean with those before.
    assert [-item.validation for item in found.rounds] == [1.0, 1.5, 3.0]
    assert found.after == 1.0


def test_the_rate_is_found_and_nothing_is_left_of_the_trials(compressor, images, model):
    candidate = compressor.candidate(policies(compressor)["channels"])
    options = FinetuneOptions(epochs=1, batch=64, distill=1.0, optimizer="adam")
    rates = []
    for scale in (1.0, 1e-3):
        training = Training.begin(candidate, images, model, options)
        fresh = training.snapshot()
        rates.append(found_rate(training))
        after = training.state()
        for part, tensors in fresh.items():
            assert after[part].keys() == tensors.keys()
            for name, tensor in tensors.items():
                assert torch.equal(after[part][name], tensor)
        # The smaller the weights, the smaller the steps that they bear.
        with torch.no_grad():
            for module in candidate.modules():
                if isinstance(module, torch.nn.Linear):
                    module.weight.mul_(scale)
    assert 1e-4 <= min(rates) <= max(rates) <= 0.1


def test_too_few_images_are_refused(compressor, images):
    original = compressor.network.module
    with pytest.raises(DataError, match="there are 19 calibration images; repairing needs at leas"):
        repair(original, original, images.slice(0, 19))
    with pytest.raises(UsageError, match="63 images are to be shown, fewer than the 64 of one"):
        repair(original, original, images, dataclasses.replace(QUICK, shown=63))


def test_photos_come_in_smaller_steps():
    photos = Images(torch.zeros(1, 3, 224, 224), torch.zeros(1))
    assert RepairOptions().batch_of(photos) == 33


@pytest.mark.parametrize("repair", ["auto", "fit", "distill"])
def test_what_a_search_delivers_is_repaired(model, images, data, tmp_path, repair):
    data = dataclasses.replace(data, calibration=images)
    options = SearchOptions(
        agent="random",
        episodes=4,
        repair=repair,
        repair_images=None if repair == "auto" else 4096,
        baselines=(),
        timed=False,
        compress=CompressOptions(images=16, final_images=32),
    )
    result = sartor.compress(
        model, data, budget="macs<=40%", options=options, out=tmp_path / "run", progress=False
    )
    report = result.report
    # A search of a few hundred images pays for no repair that teaches anything.
    assert (report.repair is not None) == (repair == "distill")
    assert not (tmp_path / "run/repairs").exists()
    scorer = ImageScorer(data.test)
    assert scorer.score(Run(tmp_path / "run", model=model).load()).accuracy == report.best.test
    if report.repair is None:
        return

    assert list(report.networks) == ["original", "refitted", "found"]
    assert report.repair.after < report.repair.before
    assert report.best.validation > report.repair.refitted.validation
    assert report.best.macs == report.repair.refitted.macs
    assert 0 < report.repair.share < 1
    assert sartor.Report.from_json(report.to_json()) == report


def test_a_search_that_was_killed_while_repairing_goes_on_there(model, images, data, tmp_path):
    data = dataclasses.replace(data, calibration=images)
    options = SearchOptions(
        agent="random",
        episodes=4,
        repair="distill",
        repair_images=4096,
        baselines=(),
        timed=False,
        compress=CompressOptions(images=16, final_images=32),
    )

    def searched(out, progress=False):
        return sartor.compress(
            model, data, budget="macs<=40%", options=options, out=out, progress=progress
        )

    whole = searched(tmp_path / "whole")
    steps = []

    def stop(event):
        if getattr(event, "phase", "") == "repairing":
            steps.append(event.done)
            if event.done == 5:
                raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        searched(tmp_path / "killed", stop)
    resumed = searched(tmp_path / "killed")
    mine, theirs = resumed.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"repair": "never"}, "repair has 'never'; allowed are auto, fit, distill"),
        ({"repair_images": 0}, "repair_images is 0; it must be at least 1"),
        ({"repair_share": -1.0}, "repair_share is -1.0; it must be at least 0"),
        ({"repair_share": float("nan")}, "repair_share is nan; it must be at least 0"),
    ],
)
def test_wrong_options_are_refused(wrong, says):
    with pytest.raises(UsageError, match=says):
        SearchOptions(**wrong)


def test_what_cannot_be_repaired_is_delivered_as_it_is_unless_that_was_asked_for(
    model, images, data, monkeypatch
):
    data = dataclasses.replace(data, calibration=images)
    notes = []

    def broken(*args, **kwargs):
        raise RuntimeError("no gradient flows")

    def listen(event):
        if isinstance(event, Note):
            notes.append(event.sentence)

    monkeypatch.setattr("sartor.pipeline._repairs.repair", broken)
    options = SearchOptions(
        agent="random",
        episodes=4,
        repair_images=4096,
        baselines=(),
        timed=False,
        compress=CompressOptions(images=16, final_images=32),
    )
    result = sartor.compress(model, data, options=options, progress=listen)
    assert result.report.repair is None
    assert "what was found is not repaired: no gradient flows" in notes
    with pytest.raises(RuntimeError, match="no gradient flows"):
        sartor.compress(model, data, options=dataclasses.replace(options, repair="distill"))


def test_too_little_to_repair_with_is_refused_before_the_search(model, data):
    options = SearchOptions(agent="random", episodes=4, repair="distill", repair_images=5)
    with pytest.raises(UsageError, match="5 images are to be shown, fewer than the 64 of one"):
        sartor.compress(model, data, options=options)
