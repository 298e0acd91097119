import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import topologies
from sartor import models
from sartor.compression import (
    CompressOptions,
    Compressor,
    Origin,
    keep_safe_groups,
    load_full_width,
    load_network,
    mask,
    narrow,
    save_network,
)
from sartor.compression.modules import trainable_copy
from sartor.compression.slicing import widen
from sartor.errors import PolicyError, RunError
from sartor.graph import OPERATORS, Effect, tensors_in, trace
from sartor.machine import digest
from sartor.policy import Policy

ZOO = [(name, 32) for name in models.NAMES if name != "resnet50"] + [
    ("resnet50", 64),
    ("mobilenet_v2", 224),
]


def random_kept(network, rng):
    kept = np.ones(network.units, dtype=bool)
    for group in network.groups:
        kept[rng.permutation(group.units)[rng.integers(1, group.size + 1) :]] = False
    return kept


def largest_difference(a, b):
    scale = max(float(item.abs().max()) for item in tensors_in(b))
    return max(
        float((x - y).abs().max()) for x, y in zip(tensors_in(a), tensors_in(b), strict=True)
    ) / max(scale, 1e-6)


def assert_sliced_equals_masked(model, network, inputs, seed):
    kept = random_kept(network, np.random.default_rng(seed))
    narrower, wide = narrow(network, kept), trainable_copy(network.module)
    with torch.no_grad():
        sliced, masked = narrower(*inputs), mask(network, kept)(*inputs)
        untouched = narrow(network, np.ones(network.units, dtype=bool))(*inputs)
        assert largest_difference(untouched, model(*inputs)) < 1e-5
    assert largest_difference(sliced, masked) < 1e-4
    if any(isinstance(module, nn.GroupNorm) for module in model.modules()):
        return

    wide.load_state_dict(widen(network, narrower, kept))
    with torch.no_grad():
        assert largest_difference(sliced, wide(*inputs)) < 1e-4


@pytest.mark.parametrize("kind", topologies.ALL, ids=lambda kind: kind.__name__)
def test_sliced_and_masked_topologies_agree(kind):
    model = topologies.randomized(kind())
    network = trace(model, topologies.example_inputs(kind))

    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 2**32))
    def check(seed):
        assert_sliced_equals_masked(
            model, network, topologies.example_inputs(kind, batch=3, seed=1), seed
        )

    check()
    assert len(keep_safe_groups(network).groups) == len(network.groups)


class Factor(nn.Module):
    """Multiplies by what nobody sees from outside; it is declared to change nothing else."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, y, x):
        return y * self.factor(x.shape[1], y.shape[1])


OPERATORS.register(Factor, Effect.SPATIAL)


class Counting(torch.nn.Module):
    """Multiplies by what may depend on the numbers of channels behind both layers."""

    def __init__(self, factor):
        super().__init__()
        self.a, self.b, self.head = (
            torch.nn.Conv2d(3, 8, 3),
            torch.nn.Conv2d(8, 8, 3),
            torch.nn.Linear(8, 5),
        )
        self.factor = Factor(factor)

    def forward(self, x):
        x = self.a(x).relu()
        y = self.b(x).relu()
        return self.head(self.factor(y, x).mean((2, 3)))


def one_if_many(first, second):
    torch._assert(first > 4, "more than 4 channels are expected")  # half of 8 are kept
    return 1


@pytest.mark.parametrize(
    ("factor", "safe", "whole"),
    [
        (lambda first, second: 1, ["a", "b"], {}),
        (lambda first, second: first, ["b"], {"a": ": the output changes"}),
        (one_if_many, ["b"], {"a": ": AssertionError: more than 4 channels are expected"}),
        (lambda first, second: first * second, [], dict.fromkeys("ab", ": the output changes")),
        # 8 + 8 and 8 + 4 channels give 1, 4 + 4 give 0
        (
            lambda first, second: (first + second) // 9,
            [],
            dict.fromkeys("ab", " together with others: the output changes"),
        ),
    ],
    ids=["neither", "first", "fails", "each", "together"],
)
def test_groups_that_are_not_safe_to_slice_are_kept_whole(factor, safe, whole):
    model = Counting(factor)
    network = trace(model, torch.randn(1, 3, 16, 16))
    assert [group.name for group in network.groups] == ["a", "b"]
    checked = keep_safe_groups(network)
    assert [group.name for group in checked.groups] == safe
    culprits = {
        item.layer: (item.channels, item.reason)
        for item in checked.kept_whole[len(network.kept_whole) :]
    }
    assert culprits == {
        layer: (8, f"fails the slicing check{reason}") for layer, reason in whole.items()
    }
    assert_sliced_equals_masked(model, checked, (torch.randn(2, 3, 16, 16),), 0)


@pytest.mark.parametrize(("name", "pixels"), ZOO, ids=str)
def test_sliced_and_masked_zoo_networks_agree(name, pixels):
    model = topologies.randomized(models.build(name, pixels=pixels, classes=10))
    network = trace(model, torch.randn(1, 3, pixels, pixels))
    for seed in range(2):
        assert_sliced_equals_masked(model, network, (torch.randn(2, 3, pixels, pixels),), seed)


def test_a_removed_channel_has_no_influence_through_its_producer():
    """Independent of `mask`: zero what the removed channels carry, right where it is made."""
    model = topologies.randomized(topologies.Residual())
    network = trace(model, torch.randn(1, 3, 16, 16))
    kept = random_kept(network, np.random.default_rng(3))
    x = torch.randn(4, 3, 16, 16)
    stream = torch.from_numpy(kept[network.slot_by_name["a.1"].out_units]).float().view(1, -1, 1, 1)
    inner = torch.from_numpy(kept[network.slot_by_name["b.1"].out_units]).float().view(1, -1, 1, 1)
    with torch.no_grad():
        y = torch.relu(model.a(x)) * stream
        y = torch.relu(y + model.c(torch.relu(model.b(y)) * inner)) * stream
        assert torch.allclose(narrow(network, kept)(x), model.head(y.mean((2, 3))), atol=1e-5)


def test_a_layer_with_two_names_is_widened_under_both(tmp_path):
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Conv2d(3, 8, 3)
            self.body = torch.nn.Sequential(self.first, torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3))

        def forward(self, x):
            return self.body(x).mean((2, 3))

    model = topologies.randomized(Twice())
    network = trace(model, torch.randn(1, 3, 16, 16))
    kept = np.ones(network.units, dtype=bool)
    kept[network.groups[0].units[:5]] = False
    save_network(
        tmp_path,
        network,
        trainable_copy(narrow(network, kept)),
        Policy(channels={network.groups[0].name: 3 / 8}),
        kept=kept,
        origin=Origin(),
    )
    wide, images = load_full_width(tmp_path, model), torch.randn(2, 3, 16, 16)
    assert set(wide) == set(model.state_dict())
    again = Twice()
    again.load_state_dict(wide)
    with torch.no_grad():
        assert torch.allclose(again(images), narrow(network, kept)(images), atol=1e-5)
        assert not torch.allclose(again(images), model(images), atol=1e-3)


def test_slicing_copies_and_never_writes_into_the_original():
    model = topologies.randomized(topologies.Residual())
    network = trace(model, torch.randn(1, 3, 16, 16))
    before = {key: value.clone() for key, value in network.module.state_dict().items()}
    narrow(network, random_kept(network, np.random.default_rng(0)))
    assert all(
        torch.equal(before[key], value) for key, value in network.module.state_dict().items()
    )


def test_a_candidate_can_be_traced_and_pruned_again():
    model = topologies.randomized(topologies.ZeroPadShortcut())
    network = trace(model, torch.randn(1, 3, 16, 16))
    candidate = narrow(network, random_kept(network, np.random.default_rng(0)))
    again = trace(candidate, torch.randn(1, 3, 16, 16))
    assert_sliced_equals_masked(candidate, again, (torch.randn(2, 3, 16, 16),), 5)


def test_removing_a_whole_group_is_refused():
    network = trace(topologies.Residual(), torch.zeros(1, 3, 16, 16))
    with pytest.raises(PolicyError, match="would lose all its channels"):
        narrow(network, np.zeros(network.units, dtype=bool))


def save_random(folder, model, inputs, origin):
    network = trace(model, inputs)
    compressor = Compressor(network, None, CompressOptions())
    rng = np.random.default_rng(1)
    policy = Policy({group.name: float(rng.uniform(0.2, 1)) for group in network.groups})
    candidate = compressor.candidate(policy)
    save_network(folder, network, candidate, policy, kept=compressor.kept(policy), origin=origin)
    # As it is delivered: whether weights can be trained changes how PyTorch multiplies.
    return trainable_copy(candidate)


FRESH = """
import sys, torch, sartor
torch.set_num_threads(1)  # matrix products split over threads add up in another order
sys.path.insert(0, {tests!r})
import topologies
from sartor.graph import tensors_in
torch.manual_seed(0)
for folder, kind in {jobs!r}:
    network = sartor.load(folder, getattr(topologies, kind)() if kind else None)
    inputs = torch.load(folder + "/inputs.pt", weights_only=True)
    with torch.no_grad():
        torch.save(tensors_in(network(*inputs)), folder + "/again.pt")
"""


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_saved_and_reloaded_in_a_fresh_process_bit_equal(tmp_path):
    jobs, expected = [], {}
    subjects = [
        (kind.__name__, topologies.randomized(kind()), topologies.example_inputs(kind, 2), Origin())
        for kind in topologies.ALL
    ]
    for name, pixels in ZOO:
        model = topologies.randomized(models.build(name, pixels=pixels, classes=10))
        subjects.append(("", model, (torch.randn(2, 3, pixels, pixels),), Origin(name, 10, pixels)))
    for index, (kind, model, inputs, origin) in enumerate(subjects):
        folder = tmp_path / str(index)
        candidate = save_random(folder, model, tuple(item[:1] for item in inputs), origin)
        torch.save(list(inputs), folder / "inputs.pt")
        with torch.no_grad():
            expected[folder] = tensors_in(candidate(*inputs))
        jobs.append((str(folder), kind))
    code = FRESH.format(
        tests=str(next(p for p in map(str, sys.path) if p.endswith("tests"))), jobs=jobs
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
    for folder, outputs in expected.items():
        again = torch.load(folder / "again.pt", weights_only=True)
        assert all(torch.equal(a, b) for a, b in zip(again, outputs, strict=True)), folder


def test_a_folder_made_from_another_network_is_refused(tmp_path):
    save_random(tmp_path, topologies.Residual(), (torch.zeros(1, 3, 16, 16),), Origin())
    with pytest.raises(
        PolicyError, match=r"was made from another network: group 'a\.0' has 12 units there, 8 here"
    ):
        load_network(tmp_path, topologies.DenseBlock())


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("inputs", None),
        ("inputs", [[1, -3, 16, 16]]),
        ("origin", {"model": "resnet20", "classes": "ten"}),
        ("scheme", {"symmetric_weights": True}),
        ("groups", {"a.1": {"size": 8}}),
        ("groups", {"a.1": {"size": 8, "kept": [0, 8]}}),
    ],
)
def test_a_layout_that_sartor_did_not_write_is_refused(part, content, tmp_path):
    save_random(tmp_path, topologies.Residual(), (torch.zeros(1, 3, 16, 16),), Origin())
    layout = json.loads((tmp_path / "network.json").read_text())
    layout.pop(part)
    (tmp_path / "network.json").write_text(
        json.dumps(layout if content is None else {**layout, part: content})
    )
    with pytest.raises(RunError, match=rf"network\.json: {part} cannot be read: \w+Error\(.+\)$"):
        load_network(tmp_path, topologies.Residual())


def test_a_digest_is_of_the_bytes_of_any_tensor():
    number = torch.tensor(
        1.5
    )  # 0x3FC00000: sign, eight bits of exponent and the first of the mantissa are bfloat16's
    for tensor, stored in (
        (number, "0000c03f"),
        (number.bfloat16(), "c03f"),
        (number > 0, "01"),
        (torch.zeros(0).half(), ""),
    ):
        told = f"a {tensor.dtype} {tuple(tensor.shape)}".encode() + bytes.fromhex(stored) + b"()"
        assert digest({"a": tensor}) == hashlib.sha256(told).hexdigest()
    image = torch.arange(24.0).view(1, 2, 3, 4)
    assert digest({"a": image}) == digest({"a": image.to(memory_format=torch.channels_last)})


def test_a_folder_does_not_say_which_code_to_run(tmp_path, monkeypatch):
    save_random(
        tmp_path,
        topologies.Residual(),
        (torch.zeros(1, 3, 16, 16),),
        Origin("theirs:build", 10, 16),
    )
    (tmp_path / "theirs.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('run').touch()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        RunError,
        match=r"was made from a network of yours, theirs:build; give it as the second argument",
    ):
        load_network(tmp_path)
    assert not (tmp_path / "run").exists()
    assert load_network(tmp_path, topologies.Residual()) is not None


def test_groups_that_were_not_safe_to_slice_are_whole_when_loaded(tmp_path):
    model = topologies.randomized(topologies.Residual())
    inputs = topologies.example_inputs(topologies.Residual)
    network = trace(model, inputs)
    fewer = replace(network, groups=network.groups[1:])
    kept = np.ones(network.units, dtype=bool)
    kept[fewer.groups[0].units[1:]] = False
    candidate = narrow(fewer, kept)
    save_network(
        tmp_path,
        fewer,
        candidate,
        Policy({fewer.groups[0].name: 1 / fewer.groups[0].size}),
        kept=kept,
        origin=Origin(),
    )
    with torch.no_grad():
        assert torch.equal(load_network(tmp_path, model)(*inputs), candidate(*inputs))
