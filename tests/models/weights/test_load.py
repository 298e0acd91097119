import argparse
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

from sartor import models
from sartor.errors import WeightsError


def _net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))


def _renamed(tensors, prefix):
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _same(a, b):
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(left, right) for left, right in pairs)


def _loaded(content, path):
    torch.save(content, path)
    net = _net(1)
    loaded = models.load_weights(net, path)
    assert _same(net, _net())
    return loaded


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.bin", "a.ckpt", "a.pth.tar"])
def test_files_of_torch_save_are_read_whatever_they_are_called(name, tmp_path):
    loaded = _loaded(_net().state_dict(), tmp_path / name)
    assert loaded.describe() == ""


def test_the_layout_before_torch_1_6_is_read(tmp_path):
    path = tmp_path / "old.pth"
    torch.save(_net().state_dict(), path, _use_new_zipfile_serialization=False)
    net = _net(1)
    models.load_weights(net, path)
    assert _same(net, _net())


@pytest.mark.parametrize(
    ("wrap", "nested"),
    [
        (lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1}}, "state_dict"),
        (lambda state: {"model": state, "args": argparse.Namespace(out=Path("x"))}, "model"),
        (lambda state: {"model_state_dict": state, "best": np.float64(0.9)}, "model_state_dict"),
        (lambda state: {"ema": {"module": state}}, "ema.module"),
        (lambda state: {"model": {"state_dict": state, "meta": "words"}}, "model.state_dict"),
    ],
)
def test_checkpoints_are_looked_into(wrap, nested, tmp_path):
    assert _loaded(wrap(_net().state_dict()), tmp_path / "a.pt").nested == nested


def test_what_else_could_have_been_taken_is_said(tmp_path):
    content = {"state_dict_ema": _net(5).state_dict(), "state_dict": _net().state_dict()}
    loaded = _loaded(content, tmp_path / "a.pt")
    assert loaded.others == ("state_dict_ema",)
    assert "(it also holds 'state_dict_ema')" in loaded.describe()


@pytest.mark.parametrize(
    ("prefix", "stripped"),
    [
        ("module.", ("module.",)),
        ("_orig_mod.", ("_orig_mod.",)),
        ("module._orig_mod.", ("module.", "_orig_mod.")),
        ("model.net.", ("model.", "net.")),
        ("anything.", ("anything.",)),
    ],
)
def test_prefixes_are_stripped_and_said(prefix, stripped, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "sartor"):
        loaded = _loaded(_renamed(_net().state_dict(), prefix), tmp_path / "a.pt")
    assert loaded.stripped == stripped
    assert f"prefix {prefix!r} left out" in caplog.text


def test_wrappers_within_names_are_left_out(tmp_path):
    tensors = {}
    for name, tensor in _net().state_dict().items():
        first, rest = name.split(".", 1)
        tensors[f"{first}._orig_mod.module.{rest}"] = tensor
    loaded = _loaded(tensors, tmp_path / "a.pt")
    assert set(loaded.stripped) == {"module.", "_orig_mod."}


def test_averaged_models_are_read_without_their_counter(tmp_path):
    averaged = torch.optim.swa_utils.AveragedModel(_net())
    assert _loaded(averaged.state_dict(), tmp_path / "a.pt").stripped == ("module.",)


def test_prefixes_are_stripped_in_safetensors_too(tmp_path):
    save_file(_renamed(_net().state_dict(), "module."), tmp_path / "a.safetensors")
    assert models.load_weights(_net(1), tmp_path / "a.safetensors").stripped == ("module.",)


def test_names_that_are_right_are_left_as_they_are(tmp_path):
    net = nn.ModuleDict({"module": nn.Linear(2, 2)})
    torch.save(net.state_dict(), tmp_path / "a.pt")
    assert models.load_weights(net, tmp_path / "a.pt").stripped == ()


def test_weights_that_two_layers_share_may_be_there_once(tmp_path):
    def tied(seed):
        torch.manual_seed(seed)
        net = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
        net["b"].weight = net["a"].weight
        return net

    save_model(tied(0), tmp_path / "a.safetensors")
    net = tied(1)
    models.load_weights(net, tmp_path / "a.safetensors")
    assert _same(net, tied(0))


def test_a_weight_that_is_there_under_no_name_is_missed(tmp_path):
    net = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    net["b"].weight = net["a"].weight
    biases = {"a.bias": torch.zeros(2), "b.bias": torch.zeros(2)}
    torch.save(biases, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"lacks keys 'a\.weight', 'b\.weight' \(2 in all\)"):
        models.load_weights(net, tmp_path / "a.pt")


def test_what_does_not_match_is_named_with_the_nearest_prefix(tmp_path):
    tensors = _renamed(_net().state_dict(), "backbone.")
    tensors["head.weight"] = torch.zeros(1)
    torch.save(tensors, tmp_path / "a.pt")
    sentence = (
        r"a\.pt': the file lacks keys '0\.weight', '0\.bias', '1\.weight', … \(8 in all\) and has "
        r"the unknown keys 'backbone\.0\.weight', .*; Sequential does not match it; "
        r"without the prefix 'backbone\.', 9 of 9 would match$"
    )
    with pytest.raises(WeightsError, match=sentence):
        models.load_weights(_net(), tmp_path / "a.pt")


class _Owned(nn.Linear):
    """A class that a file names, and that would be imported to read it."""


@pytest.mark.parametrize("beside", [False, True])
def test_a_whole_network_is_refused_with_a_line_that_converts_it(beside, tmp_path):
    path = tmp_path / "it's whole.pt"
    torch.manual_seed(0)
    net = _Owned(2, 2)
    torch.save({"model": net, "epoch": 3} if beside else net, path)
    with pytest.raises(WeightsError) as refused:
        models.load_weights(nn.Linear(2, 2), path)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert "_Owned" in sentence

    _, line = sentence.split("convert them in Python with ")
    exec(line)
    again = _Owned(2, 2)
    models.load_weights(again, tmp_path / "it's whole-weights.pt")
    assert _same(again, net)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_torchscript_is_refused_with_a_line_that_converts_it(tmp_path):
    torch.jit.script(_net()).save(tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="a TorchScript network") as refused:
        models.load_weights(_net(), tmp_path / "a.pt")
    _, line = str(refused.value).split("convert them in Python with ")
    exec(line)
    net = _net(1)
    models.load_weights(net, tmp_path / "a-weights.pt")
    assert _same(net, _net())


class _Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_nothing_that_a_file_holds_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": _Bomb()}, "a.pt")
    Path("b.pt").write_bytes(pickle.dumps(_Bomb()))
    for name in ("a.pt", "b.pt"):
        with pytest.raises(WeightsError):
            models.load_weights(_net(), name)
    assert not Path("exploded").exists()


def test_what_is_allowed_is_so_only_while_a_file_is_read(tmp_path):
    before = set(torch.serialization.get_safe_globals())  # torch keeps them in any order
    _loaded(_net().state_dict(), tmp_path / "a.pt")
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"epoch": 3, "loss": 0.1}, "hold the entries 'epoch', 'loss'; a state dict is needed"),
        ({"model": {"name": "x"}}, "hold the entries 'name' under 'model'"),
        ([1, 2], "hold a list"),
        ({}, "hold nothing"),
    ],
)
def test_files_without_weights_say_what_they_hold(content, sentence, tmp_path):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=sentence):
        models.load_weights(_net(), tmp_path / "a.pt")


def test_files_that_are_missing_torn_or_something_else_are_told_apart(tmp_path):
    torch.save(_net().state_dict(), tmp_path / "whole.pt")
    torn = (tmp_path / "whole.pt").read_bytes()[:300]
    (tmp_path / "torn.pt").write_bytes(torn)
    (tmp_path / "words.pt").write_text("no weights")
    cases = {
        "none.pt": "do not exist; a .safetensors file is needed, or one of torch.save",
        "": "are a folder; name the file in it",
        "torn.pt": "cannot be read as a file of torch.save",
        "words.pt": "cannot be read as safetensors, nor did torch.save write them",
    }
    for name, sentence in cases.items():
        with pytest.raises(WeightsError, match=sentence):
            models.load_weights(_net(), tmp_path / name)
