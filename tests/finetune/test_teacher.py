"""Other networks to learn from than the original."""

import json
import sys
from types import SimpleNamespace

import pytest
import torch

import sartor
from sartor import demo, models
from sartor.cli import main
from sartor.data import Images
from sartor.errors import UsageError, WeightsError
from sartor.finetune import Teacher, finetune
from sartor.graph import trace
from sartor.tasks import CLASSIFICATION

NAME = "sartor.demo:DigitsNet"


@pytest.fixture
def other(model, tmp_path):
    """Weights of a network that wants its images normalized."""
    path = tmp_path / "other.safetensors"
    models.save_weights(path, model.state_dict(), {"mean": "0.3", "std": "0.2"})
    return path


def built(teacher, images):
    return teacher.build(images, classes=10, task=CLASSIFICATION)


def test_a_teacher_reads_images_as_it_was_trained_on(model, data, other):
    plain = Images(data.validation.pixels[:64], data.validation.labels[:64])
    wanted = model.eval()(Images(plain.pixels, plain.labels, (0.3,), (0.2,)).normalized())
    for mean, std in (((), ()), ((0.3,), (0.2,)), ((0.5,), (0.7,))):
        images = Images(plain.pixels, plain.labels, mean, std)
        teacher = built(Teacher((NAME,), (other,)), images)
        assert torch.allclose(teacher.eval()(images.normalized()), wanted, atol=1e-4)


def test_teachers_that_cannot_teach_are_refused(model, data, other, monkeypatch):
    images = data.validation
    assert built(Teacher(), images) is None
    with pytest.raises(
        UsageError, match="teacher's weights are missing: resnet20 would teach with random weights"
    ):
        built(Teacher(("resnet20",)), images)
    monkeypatch.setitem(
        sys.modules,
        "timm",
        SimpleNamespace(create_model=lambda *name, **options: torch.nn.Flatten()),
    )
    with pytest.raises(
        UsageError,
        match="teacher's weights are missing: timm:resnet18 would teach with random weights",
    ):
        built(Teacher(("timm:resnet18",)), images)
    with pytest.raises(
        UsageError, match=r"other\.safetensors, teachers are none; name one network for each file"
    ):
        Teacher(weights=(other,))
    with pytest.raises(
        UsageError, match="teachers are resnet20, resnet56; name one network for each file"
    ):
        Teacher(("resnet20", "resnet56"), (other,))
    with pytest.raises(WeightsError, match="does not match it"):
        built(Teacher(("resnet20",), (other,)), images)
    narrow = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(images.pixels[0].numel(), 3))
    candidate = trace(model, images.normalized()[:1]).module
    with pytest.raises(
        UsageError, match=r"the teacher's outputs have shape \(3,\), those of the network \(10,\)"
    ):
        finetune(candidate, images, images, teacher=narrow)


def test_several_teachers_teach_the_mean_of_their_outputs(model, data, other, tmp_path):
    images = data.validation.slice(0, 64)
    models.save_weights(
        tmp_path / "half.safetensors", {name: item / 2 for name, item in model.state_dict().items()}
    )
    files = (other, tmp_path / "half.safetensors")
    alone = [
        Teacher((NAME,), (file,))
        .build(images, classes=10, task=CLASSIFICATION)
        .eval()(images.normalized())
        for file in files
    ]
    together = (
        Teacher((NAME, NAME), files)
        .build(images, classes=10, task=CLASSIFICATION)
        .eval()(images.normalized())
    )
    assert not torch.allclose(*alone, atol=1e-2)
    assert torch.allclose(together, (alone[0] + alone[1]) / 2, atol=1e-6)


class Talkative(torch.nn.Module):
    """Returns more than its class scores."""

    def __init__(self):
        super().__init__()
        self.network = demo.DigitsNet()

    def forward(self, x):
        return {"logits": self.network(x), "input": x}


def test_teachers_may_return_more_than_class_scores(model, data, other, weights, monkeypatch):
    images = data.validation.slice(0, 64)
    monkeypatch.setattr(demo, "Talkative", Talkative, raising=False)
    torch.manual_seed(0)
    together = Teacher((NAME, "sartor.demo:Talkative")).build(
        images, classes=10, task=CLASSIFICATION
    )
    plain, talkative = together.networks
    wanted = (plain(images.normalized()) + talkative.network(images.normalized())) / 2
    assert torch.allclose(together(images.normalized()), wanted, atol=1e-6)


@pytest.mark.parametrize("models", [("sartor.demo:large",), ("sartor.demo:large", NAME)])
def test_a_teacher_that_cannot_run_is_refused(models, model, data, monkeypatch):
    images = data.validation.slice(0, 64)
    monkeypatch.setattr(
        demo,
        "large",
        lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(7, 10)),
        raising=False,
    )
    candidate = trace(model, images.normalized()[:1]).module
    with pytest.raises(
        UsageError, match=r"the teacher.* cannot run on images of shape \(1, 8, 8\): mat1 and mat2"
    ):
        finetune(
            candidate,
            images,
            images,
            teacher=built(Teacher(models), images),
        )


def test_teachers_of_different_classes_are_refused(model, data, monkeypatch):
    images = data.validation.slice(0, 64)
    features = images.pixels[0].numel()
    narrow = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(features, 3))
    monkeypatch.setattr(demo, "narrow", lambda: narrow, raising=False)
    with pytest.raises(
        UsageError,
        match=r"the teachers' outputs have the shapes \(10,\), \(3,\); they must be the same",
    ):
        built(Teacher((NAME, "sartor.demo:narrow")), images)


def test_the_command_learns_from_the_teacher_it_is_given(weights, other, tmp_path, capsys):
    run = tmp_path / "run"
    main(
        [
            "search",
            "--model",
            NAME,
            "--weights",
            str(weights),
            "--data",
            "digits",
            "--out",
            str(run),
            "--episodes",
            "3",
            "--finalists",
            "1",
            "--baselines",
            "",
        ]
    )
    command = ["finetune", str(run), "--epochs", "1", "--augment", ""]
    taught = ["--teacher.models", NAME, "--teacher.weights", str(other)]
    main([*command, *taught])
    report = json.loads((run / "finetuned/finetune.json").read_text())
    assert report["teacher"] == NAME
    main(["report", str(run)])
    assert (
        f"Fine-tuned for 1 epoch, learning from {NAME}: validation"
        in (run / "report/report.html").read_text()
    )
    main([*command, *taught, "--resume"])
    several = ["--teacher.models", NAME, NAME, "--teacher.weights", str(weights), str(other)]
    with pytest.raises(SystemExit):
        main([*command, *several, "--resume"])
    assert "belongs to another candidate or teacher" in capsys.readouterr().err
    (run / "finetuned/finetune.checkpoint.safetensors").unlink()
    main([*command, *several])
    assert (
        json.loads((run / "finetuned/finetune.json").read_text())["teacher"] == f"{NAME} and {NAME}"
    )
    assert sartor.load(run / "finetuned", demo.DigitsNet()) is not None
