import os
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sartor import models
from sartor.cli import main
from sartor.errors import MissingPackageError, UsageError


class _Timm(SimpleNamespace):
    """What is asked of timm."""

    def __init__(self):
        super().__init__(asked=[])

    def list_models(self):
        return ["resnet18", "resnet50", "vit_tiny"]

    def create_model(self, name, **options):
        self.asked.append((name, options))
        if name not in self.list_models():
            raise RuntimeError(f"Unknown model ({name})")
        if options["pretrained"] and name == "vit_tiny":
            raise OSError("the hub cannot be reached\nlong story")
        return nn.Linear(2, options.get("num_classes", 1000))

    def get_pretrained_cfg(self, name):
        return SimpleNamespace(num_classes=1000)


@pytest.fixture
def timm(monkeypatch):
    fake = _Timm()
    monkeypatch.setitem(sys.modules, "timm", fake)
    return fake


def test_a_library_is_asked_for_weights_only_if_its_user_asks(timm):
    assert models.build("timm:resnet18", classes=5).out_features == 5
    assert models.build("timm:resnet18", classes=5, pretrained=True).out_features == 1000
    assert timm.asked == [
        ("resnet18", {"pretrained": False, "num_classes": 5}),
        ("resnet18", {"pretrained": True}),
    ]
    assert models.pretrained_classes("timm:resnet18") == 1000


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("timm:resnet81", {}, "'timm:resnet81' is not in timm; did you mean 'resnet18'"),
        (
            "timm:vit_tiny",
            {"pretrained": True},
            "pretrained weights of timm:vit_tiny cannot be fetched: the hub cannot be reached; "
            "give a file of them with --weights",
        ),
        ("timm:hf-hub:me/net", {}, "is described on the hub; give --pretrained"),
        ("resnet20", {"pretrained": True}, "'resnet20' has no pretrained weights to fetch"),
        ("mine:build", {"pretrained": True}, "only timm:NAME and torchvision:NAME have"),
    ],
)
def test_what_a_library_does_not_have_is_said_in_one_sentence(name, options, sentence, timm):
    with pytest.raises(UsageError, match=sentence) as refused:
        models.build(name, **options)
    assert "\n" not in str(refused.value)


def test_a_library_that_is_not_installed_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'sartor\[torchvision\]'"):
        models.build("torchvision:resnet18")


def test_weights_come_from_a_file_or_from_the_library_but_not_from_both(timm, tmp_path):
    path = tmp_path / "a.pt"
    with pytest.raises(UsageError, match="choose one"):
        models.build_trained(
            "timm:resnet18", path, classes=5, pixels=8, missing="", pretrained=True
        )
    with pytest.raises(UsageError, match="random"):
        models.build_trained("timm:resnet18", None, classes=5, pixels=8, missing="random")


def test_a_module_that_is_not_found_says_where_it_was_looked_for():
    here = os.getcwd()
    with pytest.raises(UsageError, match=r"'mynet:build' cannot be imported: .*no module 'mynet'"):
        models.build("mynet:build")
    with pytest.raises(UsageError, match=here):
        models.build("mynet:build")
    with pytest.raises(UsageError, match="did you mean 'timm'"):
        models.build("tim:resnet18")


def test_a_module_that_misses_another_is_not_blamed_for_it(tmp_path, monkeypatch):
    (tmp_path / "broken_net.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="No module named 'no_such_package'"):
        models.build("broken_net:build")


def test_the_command_finds_a_network_in_the_current_folder_and_pt_weights(
    tmp_path, monkeypatch, capsys
):
    source = "from sartor.demo import DigitsNet\n\ndef build():\n    return DigitsNet()\n"
    (tmp_path / "net_of_here.py").write_text(source)
    from sartor.demo import DigitsNet

    torch.save({"state_dict": nn.DataParallel(DigitsNet()).state_dict()}, tmp_path / "a.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", os.getcwd())])
    words = "sensitivity --model net_of_here:build --weights a.pt --data digits --out s --keep 0.5"
    main([*words.split(), *["--bits", "4", "--images", "8", "--mean", "0.5", "--std", "0.25"]])
    shown = capsys.readouterr().out
    assert "weights a.pt: taken from 'state_dict', prefix 'module.' left out\n" in shown
    assert shown.count("inputs: size as stored, mean 0.5 std 0.25 (given)\n") == 1


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "deeplabv3_resnet50"])
def test_torchvision_builds_without_fetching(name, monkeypatch):
    torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", None)
    assert torchvision is not None
    network = models.build(f"torchvision:{name}", classes=7)
    layers = [each for each in network.modules() if isinstance(each, (nn.Linear, nn.Conv2d))]
    widths = {getattr(each, "out_features", None) or each.out_channels for each in layers}
    assert 7 in widths


def test_torchvision_says_how_its_inputs_are_made():
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    found = models.known_preprocessing("torchvision:resnet18", pretrained=True)
    assert (found.resize, found.crop, found.interpolation) == (256, 224, "bilinear")
    assert models.pretrained_classes("torchvision:resnet18") == 1000


def test_timm_says_how_its_inputs_are_made():
    pytest.importorskip("timm", reason="timm is not installed")
    found = models.known_preprocessing("timm:resnet18.a1_in1k", pretrained=True)
    assert (found.resize, found.crop, found.interpolation) == (235, 224, "bicubic")
    assert models.build("timm:resnet18", classes=7).num_classes == 7
