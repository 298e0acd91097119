"""More images than run through a network at once."""

import math

import pytest
import torch

import topologies
from sartor.compression import INTEGER, CompressOptions, Compressor, fold, quantize
from sartor.compression.refitting import _memory
from sartor.compression.refitting._normal_equations import NormalEquations
from sartor.compression.refitting._values import PartedValues
from sartor.data import Images
from sartor.graph import Walk, trace
from sartor.pipeline import SearchOptions
from sartor.pipeline._setup import calibration_images
from sartor.policy import Policy

KINDS = (topologies.Residual, topologies.Concatenation, topologies.Grouped, topologies.InPlace)


def traced(kind=topologies.Residual):
    model = topologies.randomized(kind())
    return trace(model, topologies.example_inputs(kind))


def parts_of(images, size):
    return [(part,) for part in images.split(size)]


@pytest.mark.parametrize("room", [0, 100_000, 2**27])
@pytest.mark.parametrize("kind", KINDS)
def test_values_in_parts_are_those_of_a_whole_walk(kind, room):
    module = traced(kind).module
    images = torch.randn(10, 3, 16, 16)
    whole = Walk(module, [images], keep=True)
    whole.run()

    values = PartedValues(module, parts_of(images, 4), room=room)
    nodes = [node for node in module.graph.nodes if node.op == "call_module"]
    for place, node in enumerate(nodes):
        parts = [value for (value,) in values.of([node], nodes[place:])]
        assert [len(part) for part in parts] == [4, 4, 2]
        assert torch.allclose(torch.cat(parts), whole.value(node), atol=1e-5)


def counted_calls(module, monkeypatch):
    calls = []
    compute = Walk.call

    def call(walk, node, args, kwargs):
        calls.append(node.name)
        return compute(walk, node, args, kwargs)

    monkeypatch.setattr(Walk, "call", call)
    return calls


def test_what_there_is_room_for_is_computed_once(monkeypatch):
    module = traced().module
    calls = counted_calls(module, monkeypatch)
    nodes = [node for node in module.graph.nodes if node.op == "call_module"]
    images = torch.randn(6, 3, 16, 16)

    values = PartedValues(module, parts_of(images, 3))
    for place, node in enumerate(nodes):
        list(values.of([node], nodes[place:]))
    assert {calls.count(node.name) for node in nodes} == {2}  # once for each part

    calls.clear()
    values = PartedValues(module, parts_of(images, 3), room=0)
    for place, node in enumerate(nodes):
        list(values.of([node], nodes[place:]))
    assert calls.count(nodes[0].name) > 2


def test_what_is_kept_stays_within_the_room():
    module = traced().module
    images = torch.randn(6, 3, 16, 16)
    room = 300_000
    values = PartedValues(module, parts_of(images, 3), room=room)
    nodes = [node for node in module.graph.nodes if node.op == "call_module"]
    most = 0
    for place, node in enumerate(nodes):
        for _ in values.of([node], nodes[place:]):
            kept = values._kept.values()
            most = max(most, sum(part.nbytes for parts in kept for part in parts))
        values.forget_all_but(nodes[place + 1 :])
    assert 0 < most <= room


@pytest.mark.parametrize("centred", [True, False])
def test_merged_normal_equations_are_those_of_all_samples(centred):
    x = torch.randn(100, 7, dtype=torch.float64) + 3
    y = torch.randn(100, 2, dtype=torch.float64) - 5
    whole = NormalEquations.of(x, y, centred=centred)
    merged = NormalEquations.of(x[:13], y[:13], centred=centred)
    for first, last in ((13, 50), (50, 100)):
        part = NormalEquations.of(x[first:last], y[first:last], centred=centred)
        merged = merged.merged(part)
    for name in ("count", "mean_x", "mean_y", "gram", "cross"):
        assert torch.allclose(
            torch.as_tensor(getattr(merged, name)), torch.as_tensor(getattr(whole, name))
        )


@pytest.mark.parametrize("room", [10_000, 200_000])
@pytest.mark.parametrize("refit", ["pruned", "original"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_candidate_refitted_in_parts_is_the_one_refitted_at_once(kind, refit, room, monkeypatch):
    network = traced(kind)
    images = torch.randn(30, 3, 16, 16)
    options = CompressOptions(images=30, final_images=30, positions=20, refit=refit)
    groups = {group.name: 0.5 for group in network.groups}
    policy = Policy(channels=groups)

    at_once = Compressor(network, images, options).candidate(policy)
    monkeypatch.setattr(_memory, "_ROOM", room)
    monkeypatch.setattr(PartedValues.__init__, "__defaults__", (torch.float32, room))
    assert _memory.images_at_once(network) < 30
    in_parts = Compressor(network, images, options).candidate(policy)

    x = torch.randn(5, 3, 16, 16)
    assert torch.allclose(in_parts(x), at_once(x), atol=1e-3, rtol=1e-3)


def test_few_samples_in_parts_give_the_same_weights_too(monkeypatch):
    network = traced()
    images = torch.randn(6, 3, 16, 16)
    options = CompressOptions(images=6, positions=1)
    policy = Policy(channels={group.name: 0.5 for group in network.groups})
    at_once = Compressor(network, images, options).candidate(policy)
    monkeypatch.setattr(_memory, "_ROOM", 1)
    in_parts = Compressor(network, images, options).candidate(policy)
    x = torch.randn(5, 3, 16, 16)
    assert torch.allclose(in_parts(x), at_once(x), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_ranges_are_of_all_parts(method):
    network = traced()
    images = torch.randn(16, 3, 16, 16) * torch.linspace(0.1, 2, 16).view(-1, 1, 1, 1)
    layer = network.layers[0].name
    policy = Policy(weight_bits={layer: 8}, activation_bits={layer: 8})
    folded = fold(network.module)
    at_once = quantize(folded, policy, (images,), INTEGER, method)
    in_parts = quantize(folded, policy, (images,), INTEGER, method, at_once=3)
    assert torch.allclose(at_once(images), in_parts(images), atol=1e-6)
    of_first = quantize(folded, policy, (images[:3],), INTEGER, method)
    assert not torch.allclose(at_once(images), of_first(images), atol=1e-6)


def test_photos_that_do_not_fit_are_left_out_and_it_is_said(monkeypatch, caplog):
    monkeypatch.setattr(_memory, "_ROOM_OF_IMAGES", 5 * 3 * 16 * 16 * 4)
    images = Images(torch.rand(9, 3, 16, 16), torch.zeros(9, dtype=torch.long))
    compress = CompressOptions(images=8, final_images=8, range_images=8, positions=40)
    options = SearchOptions(compress=compress)
    chosen = calibration_images(images, options)
    assert len(chosen) == 5
    assert "5 of 8 calibration images are used, more would not fit into memory" in caplog.text

    network = traced()
    compressor = Compressor(network, chosen, options.compress)
    calibration = compressor.refitter.calibration
    places = len(calibration.places[network.layers[0].name])
    assert places == math.ceil(8 * 40 / 5)
