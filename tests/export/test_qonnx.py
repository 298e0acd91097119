import dataclasses
import importlib.util

import numpy as np
import pytest
import torch

from sartor import targets
from sartor.compression import DATAFLOW_EXACT, INTEGER, fold, quantize
from sartor.errors import UsageError
from sartor.export import export
from sartor.export._qonnx import QonnxFormat
from sartor.policy import Policy
from sartor.testing import FormatConformance, TargetConformance, example_network
from verified import FOUND

needs_qonnx = pytest.mark.skipif(
    importlib.util.find_spec("qonnx") is None, reason="qonnx is not installed"
)


@needs_qonnx
class TestQonnxFormat(FormatConformance):
    @pytest.fixture
    def form(self):
        return QonnxFormat()


@needs_qonnx
class TestQonnxTarget(TargetConformance):
    @pytest.fixture
    def target(self):
        return targets.make("qonnx")


def rounded(scheme, seed=0):
    network, images = example_network()
    rng = np.random.default_rng(seed)
    names = [layer.name for layer in network.layers]
    bits = rng.integers(2, 9, (2, len(names))).tolist()
    policy = Policy(
        weight_bits=dict(zip(names, bits[0], strict=True)),
        activation_bits=dict(zip(names, bits[1], strict=True)),
    )
    return quantize(fold(network.module), policy, (images,), scheme), images


@needs_qonnx
@pytest.mark.parametrize("seed", range(4))
def test_any_bits_are_executed_as_they_are_simulated(seed, tmp_path):
    network, images = rounded(DATAFLOW_EXACT, seed)
    path = export(network, (images[:1],), tmp_path / "a.qonnx", "qonnx", batch=4)
    (outputs,) = targets.make("qonnx").load(path).run([images.numpy()])
    with torch.no_grad():
        expected = network(images).numpy()
    assert np.array_equal(outputs, expected)


def test_quantizers_are_what_finn_asks_for(tmp_path):
    onnx = pytest.importorskip("onnx")
    network, images = rounded(DATAFLOW_EXACT)
    path = export(network, (images[:1],), tmp_path / "a.qonnx", "qonnx", batch=1)
    model = onnx.load(path)
    quants = [node for node in model.graph.node if node.op_type == "Quant"]
    readers = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)

    for node in quants:
        attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        # symmetric weights are narrow and signed, and one layer reads each of them
        if attributes["narrow"]:
            assert attributes["signed"]
            assert readers[node.output[0]] in (["Conv"], ["MatMul"])
    assert sum(node.op_type in ("Conv", "MatMul") for node in model.graph.node) == sum(
        readers[node.output[0]] in (["Conv"], ["MatMul"]) and _is_narrow(node) for node in quants
    )


def _is_narrow(node):
    return any(item.name == "narrow" and item.i for item in node.attribute)


def test_zero_points_are_refused(tmp_path):
    network, images = rounded(INTEGER)
    with pytest.raises(UsageError, match=r"has the zero point .* engines of an FPGA have none"):
        export(network, (images[:1],), tmp_path / "a.qonnx", "qonnx", batch=1)


def test_outputs_that_differ_are_a_fault():
    exact = dataclasses.replace(FOUND, latency=None, unequal=0)
    assert exact.faults(latency=0.1) == []
    (fault,) = dataclasses.replace(exact, unequal=3).faults()
    assert fault.startswith("3 of 10 test images have other outputs in c than in PyTorch")
