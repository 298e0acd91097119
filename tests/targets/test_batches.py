"""Several images at once: built, run, timed and predicted so."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sartor.compression import fold
from sartor.cost import CostModel
from sartor.errors import RunError
from sartor.targets import (
    CommandTarget,
    Deployment,
    LatencyTable,
    OnnxRuntimeTarget,
    OpenVinoTarget,
    TargetOptions,
    of_batch,
    taken,
)
from sartor.targets._batches import in_batches
from sartor.testing import FakeTarget, example_network


def test_the_first_example_is_repeated():
    given = torch.arange(4.0).reshape(2, 2)
    (sized,) = of_batch((given,), 3)
    assert sized.tolist() == [[0, 1]] * 3


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_any_number_runs_through_batches_of_one_size(count):
    seen = []

    def run(batch):
        seen.append(len(batch[0]))
        return [batch[0] + batch[1], 10 * batch[0]]

    first = np.arange(count, dtype=np.float32)
    sums, tens = in_batches(run, [first, 1 + first], 2)
    assert sums.tolist() == (1 + 2 * first).tolist()
    assert tens.tolist() == (10 * first).tolist()
    assert seen == [2] * ((count + 1) // 2)


def test_candidates_and_layers_are_measured_with_as_many_images(tmp_path):
    network, _ = example_network()
    found = {}
    for batch in (1, 4):
        folder = tmp_path / str(batch)
        folder.mkdir()
        deployment = Deployment.build(FakeTarget(batch=batch), network, folder)
        whole = deployment.measure(network.module).candidate.median_s
        layers = len(network.layers) * 1e-6
        single = deployment.measure_other(fold(network.module), network.example_inputs)
        found[batch] = (whole - layers, single.candidate.median_s - layers)
    assert found[4] == pytest.approx([4 * seconds for seconds in found[1]])


@pytest.mark.parametrize("kind", [OnnxRuntimeTarget, OpenVinoTarget])
def test_more_images_take_longer(kind, tmp_path):
    network, images = example_network()
    target = kind(batch=64)
    artifact = target.build(fold(network.module), (images[:1],), tmp_path / "a.onnx")
    many = target.load(artifact)
    one = kind().load(artifact)
    assert many.batch is None
    assert min(many.seconds() for _ in range(5)) > 4 * min(one.seconds() for _ in range(5))


def test_a_program_gets_a_file_of_the_batch(tmp_path):
    import onnx

    network, images = example_network()
    target = CommandTarget("benchmark {model}", batch=5)
    inputs = of_batch((images[:1],), target.batch)
    model = onnx.load(target.build(fold(network.module), inputs, tmp_path / "a.onnx"))
    first, *_ = model.graph.input[0].type.tensor_type.shape.dim
    assert first.dim_value == target.describe().batch == target.load(tmp_path).batch == 5


def test_a_table_of_another_batch_is_not_used(tmp_path):
    network, _ = example_network()
    path = tmp_path / "latency.json"
    cost_model = CostModel(network)
    for batch, refused in ((4, None), (4, None), (2, "4 images at once', not on .* 2 images at")):
        deployment = Deployment.build(FakeTarget(batch=batch), network, tmp_path)
        if refused is None:
            LatencyTable.measure(cost_model, deployment, {}, path)
            continue
        with pytest.raises(RunError, match=refused):
            LatencyTable.measure(cost_model, deployment, {}, path)


def test_verifying_takes_of_a_search_what_its_target_takes():
    options = TargetOptions(threads=2, batch=4, device="cuda", precision="bf16")
    assert taken("inductor", options) == options
    assert taken("onnxruntime", options) == TargetOptions(threads=2, batch=4)
    assert taken("table", options) == replace(TargetOptions(), threads=2)
