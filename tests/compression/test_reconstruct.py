from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import topologies
from sampled import sampled_outputs
from sartor.compression import CompressOptions, Compressor
from sartor.compression.refitting._calibration import Calibration
from sartor.compression.refitting._least_squares import least_squares, least_squares_of_few
from sartor.compression.refitting._masks import keep_largest, least_error_mask
from sartor.compression.refitting._matrix import as_matrix, from_matrix
from sartor.compression.slicing import narrow
from sartor.errors import DataError, UsageError
from sartor.graph import trace
from sartor.policy import Policy


def traced(kind=topologies.Residual):
    model = topologies.randomized(kind())
    return model, trace(model, topologies.example_inputs(kind))


def test_normal_equations_give_the_least_squares_solution():
    x, w = torch.randn(400, 30, dtype=torch.float64), torch.randn(7, 30, dtype=torch.float64)
    y = x @ w.T + 0.1 * torch.randn(400, 7, dtype=torch.float64)
    expected = torch.linalg.lstsq(x, y).solution.T
    assert torch.allclose(
        least_squares(x.T @ x, x.T @ y, torch.zeros(7, 30, dtype=torch.float64), 1e-9),
        expected,
        atol=1e-6,
    )


def test_masked_rows_are_solved_each_on_its_own_support():
    x, y = torch.randn(300, 12), torch.randn(300, 5)
    mask = torch.rand(5, 12) < 0.5
    weight = least_squares(x.T @ x, x.T @ y, torch.randn(5, 12), 1e-6, mask)
    assert (weight[~mask] == 0).all()
    for row in range(5):
        expected = torch.linalg.lstsq(x[:, mask[row]], y[:, row : row + 1]).solution[:, 0]
        assert torch.allclose(weight[row, mask[row]], expected, atol=1e-4)


def test_a_strong_ridge_keeps_the_weights():
    x, start = torch.randn(50, 6), torch.randn(3, 6)
    assert torch.allclose(
        least_squares(x.T @ x, x.T @ torch.randn(50, 3), start, 1e6), start, atol=1e-3
    )


@pytest.mark.parametrize("ridge", [1e-3, 0.05, 2.0])
def test_fewer_samples_than_inputs_give_the_same_weights_by_the_shorter_way(ridge):
    x, y, start = (
        torch.randn(*shape, dtype=torch.float64) for shape in ((20, 90), (20, 4), (4, 90))
    )
    expected = least_squares(x.T @ x, x.T @ y, start, ridge)
    assert torch.allclose(least_squares_of_few(x, y, start, ridge), expected, atol=1e-9)


def test_linear_layers_are_sampled_at_some_positions_too():
    network = trace(torch.nn.Sequential(torch.nn.Linear(6, 4)), torch.randn(1, 3, 50, 6))
    images = torch.randn(10, 3, 50, 6)
    calibration = Calibration.sample(network, images, 16, torch.Generator().manual_seed(0))
    (name,) = calibration.places
    targets = sampled_outputs(calibration, name)
    layer = network.module.get_submodule(name)
    assert targets.shape == (10 * 16, 4)
    found = layer(calibration.windows(name, layer, images))
    assert torch.allclose(found, targets, atol=1e-5)


@pytest.mark.parametrize("wrong", ["images", "positions", "final_images", "range_images"])
def test_nothing_is_taken_from_no_images(wrong):
    with pytest.raises(UsageError, match=f"{wrong} is 0; it must be at least 1"):
        CompressOptions(**{wrong: 0})


def test_a_negative_ridge_is_refused():
    with pytest.raises(UsageError, match="ridge is -1; it must be at least 0"):
        CompressOptions(ridge=-1)


@pytest.mark.parametrize("stride", [1, 2])
def test_windows_times_weights_are_the_sampled_outputs(stride):
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 5, (3, 5), stride, (1, 2), bias=False),
        torch.nn.ReLU(),
        torch.nn.Conv2d(5, 2, 1),
    )
    network = trace(model, torch.randn(1, 3, 9, 11))
    images = torch.randn(4, 3, 9, 11)
    calibration = Calibration.sample(network, images, 7, torch.Generator().manual_seed(0))
    layer = network.module.get_submodule("0")
    rows = calibration.windows("0", layer, images) @ as_matrix(layer.weight).T
    assert torch.allclose(rows, sampled_outputs(calibration, "0"), atol=1e-5)
    assert torch.equal(from_matrix(as_matrix(layer.weight), layer.weight), layer.weight)


def test_refitting_on_original_inputs_is_least_squares_of_the_layer_output():
    """Independent: every window stacked with unfold, solved with lstsq."""
    model, network = traced()
    images = torch.randn(24, 3, 16, 16)
    options = CompressOptions(refit="original", ridge=1e-8, images=24, positions=256)
    compressor = Compressor(network, images, options)
    policy = Policy({"b.0": 0.5})
    candidate = compressor.candidate(policy)
    kept = torch.from_numpy(
        np.flatnonzero(compressor.kept(policy)[network.slot_by_name["c.0"].in_units])
    )
    with torch.no_grad():
        inner = F.relu(model.b(F.relu(model.a(images))))
        target = model.c[0](inner).flatten(2).permute(0, 2, 1).reshape(-1, 12)
        x = F.unfold(inner[:, kept], 3, padding=1).permute(0, 2, 1).reshape(len(target), -1)
    centred = torch.linalg.lstsq(x - x.mean(0), target - target.mean(0)).solution.T
    assert torch.allclose(candidate.get_submodule("c.0").weight.flatten(1), centred, atol=2e-3)
    shift = target.mean(0) - x.mean(0) @ centred.T
    moved = model.c[1].running_mean - candidate.get_submodule("c.1").running_mean
    assert torch.allclose(moved, shift, atol=2e-3)


def error(network, candidate, images):
    with torch.no_grad():
        return float((network.module(images) - candidate(images)).square().mean())


def test_refitting_brings_unseen_outputs_closer_and_the_pruned_inputs_closest():
    torch.manual_seed(1)
    _, network = traced()
    policy = Policy({"a.0": 0.75, "b.0": 0.5})
    images, unseen = torch.randn(64, 3, 16, 16), torch.randn(64, 3, 16, 16)
    errors = {
        refit: error(
            network,
            Compressor(network, images, CompressOptions(refit=refit)).candidate(policy),
            unseen,
        )
        for refit in ("none", "original", "pruned")
    }
    assert errors["original"] < 0.5 * errors["none"]
    assert errors["pruned"] < errors["original"]


def test_the_untouched_policy_gives_the_original_network():
    _, network = traced()
    images = torch.randn(32, 3, 16, 16)
    for options in (
        CompressOptions(),
        CompressOptions(refit="original"),
        CompressOptions(refit="none"),
    ):
        compressor = Compressor(network, images, options)
        for final in (False, True):
            assert error(network, compressor.candidate(Policy(), final=final), images) < 1e-10


#: Networks with several inputs are pruned without refitting: calibration images are one tensor.
ONE_INPUT = [kind for kind in topologies.ALL if kind is not topologies.TwoInputsTwoOutputs]


@pytest.mark.parametrize("kind", ONE_INPUT, ids=lambda kind: kind.__name__)
def test_every_topology_can_be_refitted(kind):
    _, network = traced(kind)
    images = topologies.example_inputs(kind, batch=16)
    compressor = Compressor(network, images[0], CompressOptions(images=16))
    candidate = compressor.candidate(Policy({group.name: 0.6 for group in network.groups}))
    with torch.no_grad():
        assert torch.isfinite(candidate(*images)).all()


def test_samples_that_a_broken_candidate_cannot_compute_count_as_zeros():
    network = trace(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)), torch.zeros(1, 3, 9, 9)
    )
    compressor = Compressor(network, torch.randn(12, 3, 9, 9), CompressOptions(positions=8))
    kept = compressor.kept(Policy({network.groups[0].name: 0.5}))
    candidate = narrow(network, kept)
    with torch.no_grad():
        candidate.get_submodule(network.layers[0].name).bias.fill_(torch.nan)
    compressor.refitter.refit(candidate, kept)
    assert candidate.get_submodule(network.layers[1].name).weight.isfinite().all()


def test_fine_grained_policies_leave_exactly_that_many_weights():
    _, network = traced()
    for refit in ("none", "original", "pruned"):
        compressor = Compressor(network, torch.randn(32, 3, 16, 16), CompressOptions(refit=refit))
        candidate = compressor.candidate(Policy(weights={"b.0": 0.3, "head": 0.5}))
        assert int((candidate.get_submodule("b.0").weight != 0).sum()) == round(0.3 * 12 * 20 * 9)
        assert int((candidate.get_submodule("head").weight != 0).sum()) == 30


@pytest.mark.parametrize("kind", [topologies.Depthwise, topologies.Grouped, topologies.SharedLayer])
def test_layers_that_cannot_be_refitted_lose_their_smallest_weights_all_the_same(kind):
    _, network = traced(kind)
    compressor = Compressor(network, torch.randn(32, 3, 16, 16), CompressOptions())
    policy = Policy(weights={layer.name: 0.5 for layer in network.layers})
    candidate = compressor.candidate(policy)
    zeros = sum(
        int((parameter == 0).sum()) for parameter in candidate.parameters() if parameter.dim() > 1
    )
    assert (
        zeros == compressor.cost_model.original.params - compressor.cost_model.cost(policy).params
    )


def test_the_largest_scores_are_kept():
    assert keep_largest(torch.tensor([[3.0, 1.0], [0.5, 4.0]]), 0.5).tolist() == [
        [True, False],
        [False, True],
    ]


def weighted_error(change, gram, sensitivity):
    return float(((change @ gram * change).sum(1) * sensitivity).sum())


def test_the_mask_comes_close_to_the_best_of_all_masks():
    x, w = torch.randn(500, 5) @ torch.randn(5, 5), torch.randn(2, 5)
    gram, sensitivity = x.T @ x / len(x), torch.tensor([1.0, 9.0])

    def error(mask):
        return weighted_error(least_squares(gram, gram @ w.T, w, 1e-4, mask) - w, gram, sensitivity)

    every = [
        torch.tensor([index in chosen for index in range(10)]).view(2, 5)
        for chosen in combinations(range(10), 5)
    ]
    errors = sorted(error(mask) for mask in every)
    found = least_error_mask(gram, gram @ w.T, w, sensitivity, keep=0.5, ridge=1e-4)
    assert found.sum() == 5
    assert error(found) <= errors[len(errors) // 20]  # among the best 5 %
    assert error(found) <= error(keep_largest(w.abs(), 0.5))


def test_errors_of_fine_grained_pruning_are_those_of_the_layer_refitted_on_the_original_inputs():
    _, network = traced()
    images = torch.randn(64, 3, 16, 16)
    compressor = Compressor(
        network, images, CompressOptions(refit="original", positions=256, images=64)
    )
    errors = compressor.weight_errors("b.0", np.array([0.1, 0.2, 0.4, 0.5, 1.0]))
    assert (np.diff(errors) < 0).all()
    assert errors[-1] == 0
    candidate = compressor.candidate(Policy(weights={"b.0": 0.4}))
    with torch.no_grad():
        first = network.module.get_submodule("a.1")(network.module.get_submodule("a.0")(images))
        inputs = F.relu(first)
        change = candidate.get_submodule("b.0")(inputs) - network.module.get_submodule("b.0")(
            inputs
        )
    change = change - change.mean(
        (0, 2, 3), keepdim=True
    )  # the batch norm behind it takes the shift
    sensitivity = compressor.refitter.calibration.sensitivity["b.0"]
    assert errors[2] == pytest.approx(
        float((change.square().mean((0, 2, 3)) * sensitivity).sum()), rel=1e-3
    )


def test_calibration_images_of_the_wrong_shape_are_refused():
    _, network = traced()
    with pytest.raises(
        DataError,
        match=r"calibration images have shape \(\(3, 8, 8\),\), the network was traced with",
    ):
        Calibration.sample(network, torch.zeros(4, 3, 8, 8), 4, torch.Generator())


def test_batch_norm_statistics_can_be_estimated_anew():
    _, network = traced()
    images = torch.randn(64, 3, 16, 16)
    candidate = Compressor(network, images, CompressOptions(batchnorm=True, images=64)).candidate(
        Policy({"b.0": 0.4})
    )
    with torch.no_grad():
        out = candidate.get_submodule("a.0")(images)
    norm = candidate.get_submodule("a.1")
    assert torch.allclose(norm.running_mean, out.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(norm.running_var, out.var((0, 2, 3), correction=0), atol=1e-4)


class SharedNorm(nn.Module):
    """A norm behind two convolutions without biases, and one that keeps no statistics."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3), nn.Linear(6, 4)
        self.a, self.b, self.norm = (
            nn.Conv2d(8, 6, 3, bias=False),
            nn.Conv2d(6, 6, 3, bias=False),
            nn.BatchNorm2d(6),
        )
        self.c, self.by_batch = (
            nn.Conv2d(6, 6, 1, bias=False),
            nn.BatchNorm2d(6, track_running_stats=False),
        )

    def forward(self, x):
        x = F.relu(self.norm(self.a(F.relu(self.stem(x)))))
        x = F.relu(self.norm(self.b(x)))
        return self.head(F.relu(self.by_batch(self.c(x))).mean((2, 3)))


def test_refitting_one_layer_leaves_a_norm_alone_that_stands_behind_others_too():
    images = torch.randn(32, 3, 12, 12)
    network = trace(SharedNorm().eval(), images[:1])
    compressor = Compressor(network, images, CompressOptions(images=16, final_images=32))
    candidate = compressor.candidate(Policy(channels={"stem": 0.5}), final=True)
    assert candidate.get_submodule("a").weight.shape[1] == 4
    assert torch.equal(
        candidate.get_submodule("norm").running_mean,
        network.module.get_submodule("norm").running_mean,
    )
