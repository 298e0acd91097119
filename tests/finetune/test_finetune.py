"""Fine-tuning of a small network on digits."""

import contextlib
import copy
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

import sartor
from sartor import data as sources
from sartor import models
from sartor.cli import main
from sartor.compression import CompressOptions, Compressor, is_quantized
from sartor.data import Images
from sartor.errors import DataError, RunError, UsageError
from sartor.finetune import FinetuneOptions, _checkpoint, finetune
from sartor.finetune._batches import batches
from sartor.finetune._checkpoint import numbers_as_tensors
from sartor.finetune._soup import Soup
from sartor.finetune._training import Training
from sartor.graph import trace
from sartor.policy import Policy
from sartor.runs import Run
from sartor.scoring import ImageScorer

QUICK = FinetuneOptions(epochs=3, batch=64, augment=(), learning_rate=0.05, ema=0.9)


@pytest.fixture(scope="module")
def train():
    return sources.load("digits", calibration=sources.ALL).calibration


@pytest.fixture(scope="module")
def compressor(model, data):
    network = trace(model, data.calibration.normalized()[:1])
    return Compressor(
        network, data.calibration.normalized(), CompressOptions(images=16, final_images=32)
    )


def candidate_of(compressor, kind):
    layers = [layer.name for layer in compressor.network.layers]
    policies = {
        "channels": Policy(channels={group.name: 0.4 for group in compressor.network.groups}),
        "weights": Policy(weights=dict.fromkeys(layers, 0.1)),
        "bits": Policy(
            weight_bits=dict.fromkeys(layers, 2), activation_bits=dict.fromkeys(layers, 3)
        ),
    }
    return compressor.candidate(policies[kind], final=True)


def test_trainings_of_one_process_may_differ_in_precision(compressor, train):
    candidate, losses = candidate_of(compressor, "channels"), {}
    for precision in ("no", "bf16", "no"):
        training = Training.begin(
            candidate,
            train.slice(0, 128),
            None,
            dataclasses.replace(QUICK, epochs=1, precision=precision),
        )
        losses.setdefault(precision, []).append(training.epoch(0))
    assert losses["no"][0] == losses["no"][1]
    assert losses["bf16"][0] != losses["no"][0]
    assert losses["bf16"][0] == pytest.approx(losses["no"][0], rel=0.05)


class Branching(torch.nn.Module):
    """Cannot be traced."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x) if x.isfinite().all() else x


def test_a_teacher_is_folded_where_it_can_be_traced_and_teaches_alike_where_not(
    compressor, model, train, data
):
    few, options = train.slice(0, 128), dataclasses.replace(QUICK, epochs=1, distill=1.0)
    given = copy.deepcopy(model).train()
    losses = []
    for teacher in (given, Branching(given)):
        training = Training.begin(candidate_of(compressor, "channels"), few, teacher, options)
        norms = [
            module
            for module in training._loss.teacher.modules()
            if isinstance(module, torch.nn.BatchNorm2d)
        ]
        assert bool(norms) == isinstance(teacher, Branching)
        assert teacher.training
        losses.append(training.epoch(0))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert all(
        torch.equal(item, model.state_dict()[name]) for name, item in given.state_dict().items()
    )


@pytest.mark.parametrize("kind", ["channels", "weights", "bits"])
def test_training_makes_up_for_what_was_taken(kind, compressor, model, train, data):
    candidate = candidate_of(compressor, kind)
    before = {name: item.clone() for name, item in candidate.state_dict().items()}
    policy = (
        Policy(weights=dict.fromkeys([layer.name for layer in compressor.network.layers], 0.1))
        if kind == "weights"
        else None
    )
    tuned = finetune(candidate, train, data.validation, policy=policy, teacher=model, options=QUICK)
    assert tuned.validation > tuned.before + 0.01
    assert all(torch.equal(before[name], item) for name, item in candidate.state_dict().items())
    moved = {
        name
        for name, item in tuned.model.state_dict().items()
        if not torch.equal(item, before[name])
    }
    assert {name for name, _ in tuned.model.named_parameters()} <= moved
    if kind == "weights":
        for name, item in tuned.model.named_parameters():
            if item.dim() > 1:
                assert torch.equal(item == 0, before[name] == 0)
    assert is_quantized(tuned.model) == (kind == "bits")
    assert all(item.requires_grad for item in model.parameters())


def test_zeros_that_no_policy_made_are_trained(compressor, train, data):
    candidate = candidate_of(compressor, "channels")
    last = candidate.get_submodule(compressor.network.layers[-1].name)
    with torch.no_grad():
        last.weight.zero_()
    tuned = finetune(
        candidate, train, data.validation, options=dataclasses.replace(QUICK, epochs=1)
    )
    assert (tuned.model.get_submodule(compressor.network.layers[-1].name).weight != 0).all()


def test_labels_that_are_no_classes_are_refused(compressor, train, data):
    candidate, shifted = (
        candidate_of(compressor, "channels"),
        dataclasses.replace(train, labels=train.labels + 1),
    )
    with pytest.raises(
        DataError, match="labels range from 1 to 10; allowed are the network's classes, 0 to 9"
    ):
        finetune(candidate, shifted, data.validation, options=QUICK)
    with pytest.raises(DataError, match="labels range from 1 to 10"):
        ImageScorer(shifted).score(candidate)


def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(
    compressor, model, train, data, tmp_path
):
    candidate = candidate_of(compressor, "channels")
    options = dataclasses.replace(QUICK, augment=("shift", "mix"))
    whole = finetune(candidate, train, data.validation, teacher=model, options=options)

    def stop(epoch):
        if epoch.number == 1:
            raise KeyboardInterrupt

    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        finetune(
            candidate,
            train,
            data.validation,
            teacher=model,
            options=options,
            checkpoint=path,
            on_epoch=stop,
        )
    resumed = finetune(
        candidate, train, data.validation, teacher=model, options=options, checkpoint=path
    )
    assert [epoch.loss for epoch in resumed.epochs] == [epoch.loss for epoch in whole.epochs]
    mine, theirs = resumed.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    with pytest.raises(RunError, match="was made with epochs 3, not 4; use the same options"):
        finetune(
            candidate,
            train,
            data.validation,
            options=dataclasses.replace(options, epochs=4),
            checkpoint=path,
        )
    other = candidate_of(compressor, "weights")
    with pytest.raises(
        RunError, match="belongs to another candidate or teacher; remove it to train this one"
    ):
        finetune(other, train, data.validation, options=options, checkpoint=path)


@contextlib.contextmanager
def files_of_at_most(size):
    """What is larger fails as on a full disk."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    "write",
    [
        models.save_weights,
        lambda path, tensors: _checkpoint.write(path, {"student": tensors}, {"epoch": 1}),
    ],
    ids=["weights", "checkpoint"],
)
def test_a_full_disk_is_an_error_of_the_system_and_leaves_what_was_there(write, tmp_path):
    path = tmp_path / "a.safetensors"
    write(path, {"a": torch.zeros(1)})
    before = path.read_bytes()
    with (
        files_of_at_most(1000),
        pytest.raises(OSError, match=r"a\.safetensors cannot be written: .*File too large"),
    ):
        write(path, {"a": torch.zeros(1000)})
    assert [(item, item.read_bytes()) for item in tmp_path.iterdir()] == [(path, before)]


def test_a_training_that_diverges_says_so(compressor, train, data):
    options = dataclasses.replace(QUICK, learning_rate=1e12)
    with pytest.raises(
        RunError, match=r"the loss is (nan|inf) in epoch \d; the learning rate, 1e\+12, is too high"
    ):
        finetune(candidate_of(compressor, "bits"), train, data.validation, options=options)


def test_a_single_percent_of_pruned_weights_stays_pruned(compressor, train, data):
    largest = max(compressor.network.layers, key=lambda layer: layer.weights).name
    policy = Policy(weights={largest: 0.99})
    candidate = compressor.candidate(policy)
    tuned = finetune(
        candidate,
        train,
        data.validation,
        policy=policy,
        options=dataclasses.replace(QUICK, epochs=1),
    )
    before, after = (
        network.get_parameter(f"{largest}.weight") for network in (candidate, tuned.model)
    )
    assert 0 < int((before == 0).sum()) < 0.011 * before.numel()
    assert torch.equal(after == 0, before == 0)


def test_ranges_are_learned_with_the_weights(compressor, train, data):
    candidate = candidate_of(compressor, "bits")
    tuned = finetune(candidate, train, data.validation, options=QUICK)
    before, after = candidate.state_dict(), tuned.model.state_dict()
    assert before.keys() == after.keys()
    scales = [name for name in before if name.endswith(".scale")]
    assert all(before[name] != after[name] for name in scales)


def test_the_best_epoch_is_delivered(compressor, train, data):
    """A learning rate that ruins the network leaves it as it was."""
    candidate = candidate_of(compressor, "channels")
    ruined = finetune(
        candidate,
        train,
        data.validation,
        options=dataclasses.replace(QUICK, learning_rate=1e3, epochs=2, ema=0.0),
    )
    assert max(epoch.validation for epoch in ruined.epochs) < ruined.before == ruined.validation
    assert all(
        torch.equal(item, candidate.state_dict()[name])
        for name, item in ruined.model.state_dict().items()
    )


def test_the_mean_of_epochs_is_delivered_where_it_is_better(compressor, model, train, data):
    candidate = candidate_of(compressor, "channels")
    options = dataclasses.replace(QUICK, epochs=8, batch=128, learning_rate=0.1, ema=0.0)
    tuned = finetune(candidate, train, data.validation, teacher=model, options=options)
    assert len(tuned.members) > 1
    alone = [tuned.before, *(epoch.validation for epoch in tuned.epochs)]
    assert tuned.validation == tuned.epochs[-1].best >= max(alone)
    assert (
        ImageScorer(data.validation, dtype=torch.float32).score(tuned.model).accuracy
        == tuned.validation
    )


def test_a_soup_is_the_mean_of_its_members():
    def accuracy(tensors):
        return 1 - abs(float(tensors["weight"]) - 3)

    def epoch(weight, steps):
        return {"weight": torch.tensor(weight), "steps": torch.tensor(steps)}

    soup = Soup(epoch(0.0, 0), (0,), accuracy(epoch(0.0, 0)))
    members, weights = [], []
    for number, weight in enumerate([2.0, 3.5, 9.0, 3.5], start=1):
        soup, alone = soup.best_with(epoch(weight, number), number, accuracy)
        assert alone.members == (number,)
        assert alone.quality == accuracy(epoch(weight, number))
        members.append(soup.members)
        weights.append(float(soup.tensors["weight"]))
    assert members == [
        (1,),
        (1, 2),
        (1, 2),
        (1, 2, 4),
    ]  # 2 alone; with 3.5; 9 spoils both; the mean of three is 3
    assert weights == pytest.approx([2.0, 2.75, 2.75, 3.0])
    assert int(soup.tensors["steps"]) == 4


def test_shifted_images_are_the_images_moved():
    images = torch.arange(2 * 3 * 8 * 8, dtype=torch.float32).view(2, 3, 8, 8) + 1
    generator = torch.Generator().manual_seed(3)
    ((moved, labels),) = batches(
        Images(images, [0, 1]),
        torch.tensor([0, 1]),
        size=2,
        augment=("shift",),
        generator=generator,
    )
    for image, label in zip(moved, labels, strict=True):
        original = torch.nn.functional.pad(images[label], (1, 1, 1, 1))
        places = [original[:, y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
        assert sum(torch.equal(image, place) for place in places) == 1


def test_mirrored_images_are_the_images_or_their_mirror_images():
    images = torch.randn(64, 1, 4, 4)
    ((changed, labels),) = batches(
        Images(images, torch.arange(64)),
        torch.arange(64),
        size=64,
        augment=("mirror",),
        generator=torch.Generator().manual_seed(0),
    )
    same = sum(
        torch.equal(image, images[label]) for image, label in zip(changed, labels, strict=True)
    )
    mirrored = sum(
        torch.equal(image, images[label].flip(-1))
        for image, label in zip(changed, labels, strict=True)
    )
    assert same + mirrored == 64
    assert 10 < same < 54


def test_mixed_images_are_labelled_as_they_were_mixed():
    """An image that is one-hot in its own place shows of which images it was made, and how much."""
    images = torch.eye(8).view(8, 1, 1, 8)
    ((mixed, shares),) = batches(
        Images(images, torch.arange(8)),
        torch.eye(8),
        size=8,
        augment=("mix",),
        generator=torch.Generator().manual_seed(0),
    )
    assert torch.equal(mixed.view(8, 8), shares)
    assert torch.allclose(shares.sum(1), torch.ones(8))
    assert (shares > 0).sum(1).tolist() == [2] * 8
    assert float(shares.amax(1).std()) > 0.1, "every image has a share of its own"


def test_mixed_images_are_learned_from(compressor, model, train, data):
    candidate = candidate_of(compressor, "channels")
    options = dataclasses.replace(QUICK, augment=("mix",), epochs=2)
    tuned = finetune(candidate, train, data.validation, teacher=model, options=options)
    assert tuned.validation > tuned.before


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"distill": 1.5}, "distill is 1.5; it must lie from 0 to 1"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0; it must be at least 0"),
        ({"seed": -1}, "seed is -1; it must lie from 0 to 4294967295"),
        ({"seed": 2**32}, "seed is 4294967296; it must lie from 0 to 4294967295"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be above 0"),
        ({"augment": ("blur",)}, "augment has blur; allowed are shift, mirror, mix"),
        ({"precision": "fp8"}, "precision has fp8; allowed are no, bf16, fp16"),
        ({"batch": 0}, "batch is 0; it must be at least 1"),
        ({"momentum": 1.0}, "momentum is 1.0; it must lie from 0 to 0.999"),
        ({"warmup": 1.1}, "warmup is 1.1; it must lie from 0 to 1"),
        ({"temperature": float("inf")}, "temperature is inf; it must be above 0"),
    ],
)
def test_wrong_options_are_refused(wrong, sentence):
    with pytest.raises(UsageError, match=sentence):
        FinetuneOptions(**wrong)


def test_half_precision_is_refused_where_it_would_be_ignored(compressor, train, data):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    candidate, options = (
        candidate_of(compressor, "channels"),
        dataclasses.replace(QUICK, precision="fp16"),
    )
    with pytest.raises(
        UsageError, match="precision is fp16, which needs a GPU; allowed on the CPU are no and"
    ):
        finetune(candidate, train, data.validation, options=options)


def test_where_the_scaler_of_half_precision_stands_is_kept_exactly():
    scaler = torch.amp.GradScaler("cpu", init_scale=1234.5)
    restored = torch.amp.GradScaler("cpu")
    restored.load_state_dict(
        {name: item.item() for name, item in numbers_as_tensors(scaler.state_dict()).items()}
    )
    assert restored.state_dict() == scaler.state_dict()


def test_the_learning_rate_goes_on_with_another_number_of_processes(compressor, train, data):
    """Fewer steps an epoch: what counts is how many epochs are behind."""
    candidate = candidate_of(compressor, "channels")
    alone = Training.begin(candidate, train, None, QUICK)
    alone.epoch(0)
    shared = Training.begin(
        candidate, train, None, dataclasses.replace(QUICK, batch=4 * QUICK.batch)
    )
    shared.restore(alone.state(), epochs=1)
    shared.epoch(1)
    later = shared.rate.at(shared._step)
    assert later == pytest.approx(alone.rate.at(2 * alone._step), abs=0.05 * QUICK.learning_rate)


def test_the_command_trains_what_a_search_found(weights, tmp_path, capsys):
    run = str(tmp_path / "run")
    search = [
        "search",
        "--model",
        "sartor.demo:DigitsNet",
        "--weights",
        str(weights),
        "--data",
        "digits",
        "--out",
        run,
    ]
    main(
        [
            *search,
            "--budget",
            "macs<=30%",
            "--episodes",
            "4",
            "--images",
            "16",
            "--final-images",
            "32",
        ]
    )
    finetuning = [
        "finetune",
        run,
        "--epochs",
        "2",
        "--batch",
        "64",
        "--augment",
        "",
        "--learning-rate",
        "0.05",
        "--ema",
        "0.9",
    ]
    main(finetuning)
    assert re.search(r"epoch 2/2: loss \d+\.\d+, validation \d+\.\d+ %", capsys.readouterr().out)
    report = json.loads((tmp_path / "run/finetuned/finetune.json").read_text())
    assert report["validation"]["after"] >= report["validation"]["before"]
    network = sartor.load(tmp_path / "run/finetuned", sartor.demo.DigitsNet())
    images = sartor.data.load("digits", calibration=1).test
    with torch.no_grad():
        right = float((network(images.normalized()).argmax(1) == images.labels).float().mean())
    assert right == pytest.approx(report["test"]["after"], abs=1e-6)
    with pytest.raises(SystemExit):
        main(finetuning)
    assert "already holds a fine-tuning; go on with --resume" in capsys.readouterr().err
    main([*finetuning, "--resume"])
    capsys.readouterr()
    main(["export", run])
    assert f"next: sartor verify {run} --format onnx" in capsys.readouterr().out
    session = sartor.targets.make("onnxruntime").load(tmp_path / "run/export/model.onnx")
    assert (
        np.abs(
            session.run([images.normalized().numpy()])[0]
            - network(images.normalized()).detach().numpy()
        ).max()
        < 1e-3
    )
    main(["verify", run])
    verified = json.loads((tmp_path / "run/export/model.onnx.verified.json").read_text())
    assert verified["faults"] == []
    assert verified["accuracy"] == pytest.approx(report["test"]["after"], abs=0.004)
    config, result = (
        Run(tmp_path / "run").config,
        json.loads((tmp_path / "run/result.json").read_text()),
    )
    (tmp_path / "run/result.json").write_text(json.dumps({**result, "latency_ceiling": 1e-6}))
    for target in (
        "onnxruntime",
        "openvino",
    ):  # a latency is promised for the target of the search only
        promised = dataclasses.replace(config.options, target=target)
        dataclasses.replace(config, budget="size<=5%,latency<=4ms", options=promised).save(
            tmp_path / "run"
        )
        with pytest.raises(SystemExit) as stopped:
            main(["verify", run])
        assert stopped.value.code == 1
        said, error = capsys.readouterr()
        assert "of the original's, above 0.050" in error
        unchecked = (
            "was promised on openvino, 1 thread, of 1 image at once; "
            "it is not held against this one on onnxruntime, 1 th"
        )
        assert (unchecked in said) == (target == "openvino")
        assert ("relative latency is" in error) == (target == "onnxruntime")
    with pytest.raises(SystemExit):
        main(["export", run, "--batch", "0"])
    assert (tmp_path / "run/export/model.onnx.verified.json").exists(), (
        "what was not replaced stays verified"
    )
    main(["export", run, "--batch", "4"])
    assert not (tmp_path / "run/export/model.onnx.verified.json").exists()
    dataclasses.replace(
        config,
        budget="latency<=4ms",
        options=dataclasses.replace(config.options, target="onnxruntime"),
    ).save(tmp_path / "run")
    main(["verify", run])  # it is promised for one image at a time
    assert (
        "it is not held against this one on onnxruntime, 1 thread, of 4 images at once"
        in capsys.readouterr().out
    )
    config.save(tmp_path / "run")
    of_four = json.loads((tmp_path / "run/export/model.onnx.verified.json").read_text())
    assert (of_four["batch"], verified["batch"]) == (4, 1)
    assert of_four["accuracy"] == verified["accuracy"]
    main(["report", run])
    card = (tmp_path / "run/report/MODEL_CARD.md").read_text()
    assert 'sartor.load("run/finetuned")' in card
    assert f"validation top-1 before {100 * report['validation']['before']:.2f} %" in card
    assert card.count("Verified in onnxruntime") == 1
    (tmp_path / "run/finetuned/model.safetensors").unlink()
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["export", run])
    assert "finetuned has not ended; go on with: sartor finetune" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["verify", run])
    assert "has not ended" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "run/finetuned")
    with pytest.raises(SystemExit):
        main(["verify", run, "--threads", "0"])
    assert "--threads is 0; it must be at least 1" in capsys.readouterr().err
    main(["report", run])
    card = (tmp_path / "run/report/MODEL_CARD.md").read_text()
    assert 'sartor.load("run")' in card
    assert "Verified in" not in card, "another network was verified"
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["verify", run])
    assert (
        "model.onnx was made from another network than the one it is held against"
        in capsys.readouterr().err
    )
    main(["export", run, "--format", "pt2", "--out", str(tmp_path / "other.pt2")])
    assert "next: sartor verify" in capsys.readouterr().out, "PyTorch reads it"
    main(["export", run, "--format", "openvino", "--out", str(tmp_path / "other.xml")])
    size = sum((tmp_path / f"other.{suffix}").stat().st_size for suffix in ("xml", "bin"))
    said = capsys.readouterr().out
    assert f"{size:,} bytes" in said
    assert f"--format openvino --artifact {tmp_path / 'other.xml'}" in said
    with pytest.raises(SystemExit):
        main(["verify", run, "--format", "openvino"])
    assert "model.xml does not exist; make it with: sartor export" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["export", str(tmp_path)])
    assert "is not the folder of a run" in capsys.readouterr().err


def test_two_processes_share_a_training_and_one_speaks(weights, tmp_path):
    run = tmp_path / "run"
    main(
        [
            "search",
            "--model",
            "sartor.demo:DigitsNet",
            "--weights",
            str(weights),
            "--data",
            "digits",
            "--out",
            str(run),
            "--budget",
            "macs<=30%",
            "--episodes",
            "2",
            "--finalists",
            "1",
            "--baselines",
            "",
            "--images",
            "16",
            "--final-images",
            "32",
        ]
    )
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--standalone",
        "-m",
        "sartor",
    ]
    options = ["--epochs", "4", "--batch", "32", "--learning-rate", "0.05", "--ema", "0.9"]
    done = subprocess.run(
        [*command, "finetune", str(run), *options],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=200,
        capture_output=True,
        text=True,
    )
    assert done.stdout.count("epoch 4/4") == 1
    report = json.loads((run / "finetuned/finetune.json").read_text())
    network = sartor.load(run / "finetuned", sartor.demo.DigitsNet())
    images = sartor.data.load("digits", calibration=1).validation
    with torch.no_grad():
        right = float((network(images.normalized()).argmax(1) == images.labels).float().mean())
    assert right == pytest.approx(report["validation"]["after"], abs=1e-6)
    assert right == pytest.approx(report["epochs"][-1]["best"], abs=1e-6)


def test_adam_finds_its_rate_and_goes_on_with_it(compressor, train, data, tmp_path):
    candidate = candidate_of(compressor, "channels")
    options = dataclasses.replace(QUICK, optimizer="adam", learning_rate=None, epochs=4)
    whole = finetune(candidate, train, data.validation, options=options)
    assert whole.validation > whole.before

    def stop(epoch):
        if epoch.number == 1:
            raise KeyboardInterrupt

    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        finetune(candidate, train, data.validation, options=options, checkpoint=path, on_epoch=stop)
    resumed = finetune(candidate, train, data.validation, options=options, checkpoint=path)
    mine, theirs = resumed.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_an_epoch_has_as_many_steps_as_it_is_told_to(compressor, train):
    candidate = candidate_of(compressor, "channels")
    options = dataclasses.replace(QUICK, epochs=2, steps=3)
    training = Training.begin(candidate, train.slice(0, 96), None, options)
    assert training.rate.steps == 6
    # Of 96 images a batch of 64 is one step: each epoch is three passes.
    assert training.epoch(0) > 0
    with pytest.raises(UsageError, match="steps is 0; it must be at least 1"):
        dataclasses.replace(options, steps=0)
