"""Folders of compressed networks."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from sartor.compression import (
    CompressOptions,
    Compressor,
    Origin,
    StoredNetwork,
    copy_network,
    holds_network,
    load,
    load_full_width,
    load_network,
    network_identity,
    save_network,
    save_trained_network,
    tensor_identity,
)
from sartor.errors import RunError
from sartor.graph import trace
from sartor.policy import Policy


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()


def saved(folder, model, example, policy=None):
    network = trace(model, example)
    compressor = Compressor(network, None, CompressOptions())
    policy = policy or Policy(channels={group.name: 0.5 for group in network.groups})
    candidate = compressor.candidate(policy)
    save_network(folder, network, candidate, policy, kept=compressor.kept(policy), origin=Origin())
    return candidate


def test_what_the_public_line_loads_with():
    assert load is load_network


@pytest.mark.parametrize("again", ["save", "copy", "trained"])
def test_tensors_of_an_earlier_save_go_before_anything_else_is_written(
    again, tmp_path, monkeypatch
):
    """Ended in the middle, a folder holds no network, rather than halves of two."""
    image = torch.zeros(1, 3, 9, 9)
    folder, other = tmp_path / "a", tmp_path / "b"
    saved(folder, small(), image)
    candidate = saved(other, small(), image, Policy())

    def full_disk(*args):
        raise OSError("disk full")

    monkeypatch.setattr("sartor.compression._storage.write_text", full_disk)
    writers = {
        "save": lambda: saved(folder, small(), image, Policy()),
        "copy": lambda: copy_network(folder, other),
        "trained": lambda: save_trained_network(folder, other, candidate),
    }
    with pytest.raises(OSError, match="disk full"):
        writers[again]()
    assert not holds_network(folder)
    assert holds_network(other)


def test_a_copy_is_the_same_network(tmp_path):
    candidate = saved(tmp_path / "a", small(), torch.zeros(1, 3, 9, 9))
    copy_network(tmp_path / "b", tmp_path / "a")
    assert network_identity(tmp_path / "b") == tensor_identity(candidate.state_dict())
    again = load_network(tmp_path / "b", small())
    assert again.get_submodule("0").out_channels == 4


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(20, 6)
        self.inner = nn.Linear(6, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, words):
        return self.head(self.inner(self.table(words)).relu().mean(1))


def test_a_network_that_reads_whole_numbers_is_loaded(tmp_path):
    torch.manual_seed(0)
    model, words = Words().eval(), torch.randint(0, 20, (4, 5))
    candidate = saved(tmp_path, model, words[:1])
    assert StoredNetwork.read(tmp_path).inputs[0].dtype == torch.int64
    with torch.no_grad():
        assert torch.equal(load_network(tmp_path, model)(words), candidate(words))


class Masked(Words):
    """Takes its inputs by name, beside others that have defaults."""

    def forward(self, ids=None, places=None, mask=None, **others):
        words = self.table(ids) if places is None else self.table(places)
        weights = torch.ones_like(words[..., :1]) if mask is None else mask[..., None]
        return {"scores": self.head((self.inner(words).relu() * weights).mean(1))}


def test_inputs_by_name_are_loaded_with_their_kinds_and_ranges(tmp_path):
    torch.manual_seed(0)
    model, ids = Masked().eval(), torch.randint(7, 20, (4, 5))
    mask = torch.tensor([[1, 1, 0, 1, 0]]).expand(4, 5)
    candidate = saved(tmp_path, model, {"mask": mask, "ids": ids})

    stored = StoredNetwork.read(tmp_path)
    assert stored.input_names == ("ids", "mask")
    assert stored.inputs[0].min() == ids[0].min()
    assert stored.inputs[0].max() == ids[0].max()
    again = load_network(tmp_path, model)
    with torch.no_grad():
        by_name = again(ids=ids, mask=mask)["scores"]
        assert torch.equal(by_name, candidate(ids, mask)["scores"])


def test_types_of_inputs_may_be_missing_and_must_be_types(tmp_path):
    saved(tmp_path, small(), torch.zeros(1, 3, 9, 9))
    path = tmp_path / "network.json"
    description = json.loads(path.read_text())
    assert description["input_types"] == ["float32"]
    path.write_text(json.dumps({**description, "input_types": ["nn"]}))
    with pytest.raises(RunError, match="inputs cannot be read: TypeError"):
        load_network(tmp_path, small())
    del description["input_types"]
    path.write_text(json.dumps(description))
    assert load_network(tmp_path, small()) is not None


def test_a_weight_that_the_original_computes_has_no_place_for_another(tmp_path):
    model = small()
    parametrizations.weight_norm(model[0])
    candidate = saved(tmp_path, model, torch.zeros(1, 3, 9, 9))
    images = torch.randn(2, 3, 9, 9)
    with torch.no_grad():
        assert torch.allclose(load_network(tmp_path, model)(images), candidate(images), atol=1e-6)
    with pytest.raises(RunError, match=r"the original has no weight of its own for layer 0"):
        load_full_width(tmp_path, model)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(4, 4)
        self.two = nn.Linear(4, 4)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.two(self.one(x).relu())


@pytest.mark.parametrize("weights", [{}, {"one": 0.5}, {"one": 0.5, "two": 0.5}])
def test_shared_weights_are_loaded_as_they_were_saved(weights, tmp_path):
    torch.manual_seed(0)
    candidate = saved(tmp_path, Tied().eval(), torch.randn(1, 4), Policy(weights=weights))
    again = load_network(tmp_path, Tied())
    one, two = again.get_submodule("one"), again.get_submodule("two")
    assert (one.weight is two.weight) == (len(weights) != 1)
    with torch.no_grad():
        x = torch.randn(3, 4)
        assert torch.equal(again(x), candidate(x))
    kept = StoredNetwork.read(tmp_path).kept(trace(Tied(), torch.randn(1, 4)))
    assert np.all(kept)
