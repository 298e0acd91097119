"""Every format holds the network, and says where it comes from."""

import dataclasses
import re

import numpy as np
import onnx
import pytest
import torch

from sartor import targets
from sartor.compression import (
    INTEGER,
    CompressOptions,
    Compressor,
    deployable,
    fold,
    quantize,
    tensor_identity,
)
from sartor.compression.quantizing import refold, unfold
from sartor.errors import RunError, UsageError
from sartor.export import FORMATS, export, find_format, verify
from sartor.export._drift import drift
from sartor.graph import trace
from sartor.policy import Policy
from sartor.targets import Comparison
from verified import FOUND, LATENCY

METADATA = {"policy": '{"schema": 1}', "command": "sartor search --seed 0"}


@pytest.fixture(scope="module", params=["pruned", "int8", "learned"])
def candidate(request, model, data):
    images = data.calibration.normalized()
    network = trace(model, images[:1])
    bits = (
        {layer.name: 8 for layer in network.layers if layer.kind != "linear"}
        if request.param != "pruned"
        else {}
    )
    policy = Policy({network.groups[0].name: 0.5}, weight_bits=bits, activation_bits=bits)
    found = Compressor(network, images, CompressOptions(images=16, final_images=32)).candidate(
        policy, final=True
    )
    return with_narrower_ranges(found, images) if request.param == "learned" else found


@torch.no_grad()
def with_narrower_ranges(candidate, images):
    """As if training had found that the largest weights and activations are worth clipping."""
    trained = unfold(candidate, (images,))
    for module in trained.modules():
        if getattr(module, "growth", None) is not None:
            module.growth.sub_(3)
    return refold(trained)


def outputs_of(form, path, images):
    if form == "pt2":
        with torch.no_grad():
            return torch.export.load(path).module()(images).numpy()
    return targets.make(find_format(form).runtime).load(path).run([images.numpy()])[0]


# qonnx refuses the zero points of these candidates: test_qonnx.py
@pytest.mark.parametrize("form", [form for form in FORMATS if form != "qonnx"])
def test_exported_networks_compute_what_was_found(form, candidate, data, tmp_path):
    images = data.test.normalized()[:7]
    batch = None if find_format(form).dynamic else 1
    path = export(
        candidate,
        (images[:1],),
        tmp_path / f"model{find_format(form).suffix}",
        form,
        metadata=METADATA,
        batch=batch,
    )
    with torch.no_grad():
        expected = candidate(images).numpy()
    tolerance = 2e-2 if any("quantizer" in name for name, _ in candidate.named_modules()) else 1e-4
    assert (
        np.abs(outputs_of(form, path, images) - expected).max()
        <= tolerance * np.abs(expected).max()
    )
    assert find_format(form).read_metadata(path) == {
        **METADATA,
        "network": tensor_identity(candidate.state_dict()),
    }
    assert [item.suffix for item in tmp_path.iterdir() if item.name.startswith(".")] == []


def test_what_a_format_cannot_do_is_refused(candidate, data, tmp_path):
    images = (data.test.normalized()[:1],)
    with pytest.raises(UsageError, match="format 'executorch' needs a fixed batch size"):
        export(candidate, images, tmp_path / "a.pte", "executorch")
    with pytest.raises(
        UsageError,
        match="format 'tflite' is not known; allowed are onnx, onnx-bitserial, openvino",
    ):
        export(candidate, images, tmp_path / "a.tflite", "tflite")
    with pytest.raises(UsageError, match=r"a.onnx: a file of format 'openvino' ends in .xml"):
        export(candidate, images, tmp_path / "a.onnx", "openvino")
    with pytest.raises(UsageError, match="batch is 0; it must be at least 1"):
        export(candidate, images, tmp_path / "a.onnx", "onnx", batch=0)


def rounded(model, images, bits):
    network = trace(model.eval(), images[:1])
    names = [layer.name for layer in network.layers]
    policy = Policy(
        weight_bits=dict.fromkeys(names, bits), activation_bits=dict.fromkeys(names, bits)
    )
    return quantize(fold(network.module), policy, (images,), INTEGER)


def test_widths_that_onnx_lacks_are_refused_and_pt2_holds_them(model, data, tmp_path):
    images = data.test.normalized()[:64]
    candidate = rounded(model, images, 4)
    with pytest.raises(
        UsageError,
        match=r"a\.onnx: .* has 4 bits, an ONNX file holds 8; "
        r"sartor\.load, pt2 and onnx-bitserial hold every width",
    ):
        export(candidate, (images[:1],), tmp_path / "a.onnx", "onnx")
    path = export(candidate, (images[:1],), tmp_path / "a.pt2", "pt2")
    beyond = 3 * images  # outside of what was calibrated, where numbers are clipped
    with torch.no_grad():
        assert np.abs(outputs_of("pt2", path, beyond) - candidate(beyond).numpy()).max() < 1e-4


@pytest.mark.parametrize("mode", ["circular", "reflect", "replicate"])
def test_padding_with_something_else_than_zeros_is_kept(mode, tmp_path):
    images = torch.randn(16, 3, 8, 8)
    convolution = torch.nn.Conv2d(3, 4, 3, padding=1, padding_mode=mode)
    candidate = rounded(
        torch.nn.Sequential(convolution, torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 1)), images, 8
    )
    path = export(candidate, (images[:1],), tmp_path / "a.pt2", "pt2")
    with torch.no_grad():
        assert np.abs(outputs_of("pt2", path, images) - candidate(images).numpy()).max() < 2e-2


class Mixer(torch.nn.Module):
    """A linear layer on several positions, which ONNX has as a product and an addition."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(8, 12), torch.nn.Linear(12, 10)

    def forward(self, x):
        return self.second(torch.relu(self.first(x.flatten(1, 2)))).mean(1)


def test_layers_on_several_positions_do_not_seem_to_drift(data, tmp_path):
    network = trace(Mixer().eval(), data.test.normalized()[:1])
    path = export(network.module, (data.test.normalized()[:1],), tmp_path / "model.onnx", "onnx")
    found = drift(path, "onnx", network.module, data.test.normalized()[:16])
    assert [item.layer for item in found] == ["first", "second"]
    assert not any(item.drifted for item in found)


class Misnamed(torch.nn.Module):
    """Layers that are called like tensors of the file."""

    def __init__(self):
        super().__init__()
        self.input, self.output = torch.nn.Conv2d(1, 4, 3), torch.nn.Conv2d(4, 4, 3)
        self.last = torch.nn.Linear(4, 10)

    def forward(self, x):
        return self.last(self.output(self.input(x).relu()).relu().mean((2, 3)))


@pytest.mark.parametrize("bits", [8, 32])
def test_layers_may_be_called_like_inputs_and_outputs(bits, data, tmp_path):
    images = data.test.normalized()[:16]
    candidate = rounded(Misnamed(), images, bits)
    with torch.no_grad():
        expected = candidate(images).numpy()
    for form in ("onnx", "openvino"):
        path = export(candidate, (images[:1],), tmp_path / f"model{find_format(form).suffix}", form)
        assert (
            np.abs(outputs_of(form, path, images) - expected).max() <= 2e-2 * np.abs(expected).max()
        )
    found = drift(tmp_path / "model.onnx", "onnx", deployable(candidate), images)
    assert [item.layer for item in found] == ["input", "output", "last"]
    assert not any(item.drifted for item in found)
    seconds = targets.OnnxRuntimeTarget().profile(tmp_path / "model.onnx")
    assert all(seconds[name] > 0 for name in ("input", "output", "last"))


class Between(torch.nn.Module):
    """Two layers, and something between them of which a format may know nothing."""

    def __init__(self, between):
        super().__init__()
        self.first, self._between, self.last = (
            torch.nn.Conv2d(1, 2, 1),
            between,
            torch.nn.Linear(128, 4),
        )

    def forward(self, x):
        return self.last(self._between(self.first(x)))


def pooled(x):
    return x.flatten(1) + torch.nn.functional.adaptive_avg_pool2d(x, 3).mean()


def transformed(x):
    return torch.fft.fft2(x).real.flatten(1)


def one_row(x):
    return x.reshape(1, -1)


@pytest.mark.parametrize(
    ("between", "form", "batch", "message"),
    [
        (
            pooled,
            "onnx",
            1,
            "ONNX cannot express the network: it has no operator for aten::adaptive_avg_pool2d",
        ),
        (
            transformed,
            "onnx",
            None,
            "ONNX cannot express the network: it has no operator for aten::fft_fft2",
        ),
        (
            transformed,
            "openvino",
            1,
            "ONNX cannot express the network: it has no operator for aten::fft_fft2",
        ),
        (
            transformed,
            "executorch",
            1,
            r"executorch cannot express the network: Operator .*_fft_c2c\S* is not in [^\n]*",
        ),
        (
            one_row,
            "onnx",
            None,
            r"ONNX cannot express the network: .* \(1x256 and 128x4\); with --batch 1 it can",
        ),
        (
            one_row,
            "pt2",
            None,
            r"torch\.export cannot express the network: .* X \[128, 4\]; with --batch 1 it can",
        ),
    ],
)
def test_networks_that_a_format_cannot_express_are_refused_in_a_sentence(
    between, form, batch, message, tmp_path, capfd
):
    pytest.importorskip("torchao")  # its import may print, depending on torch
    network = trace(Between(between), torch.randn(1, 1, 8, 8))
    capfd.readouterr()
    path = tmp_path / f"model{find_format(form).suffix}"
    with pytest.raises(RunError, match=rf"^{re.escape(str(path))}: {message}$"):
        export(network.module, network.example_inputs, path, form, batch=batch)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def quantized(model, data):
    images = data.calibration.normalized()
    network = trace(model, images[:1])
    bits = {layer.name: 8 for layer in network.layers}
    policy = Policy(weight_bits=bits, activation_bits=bits)
    return network, Compressor(
        network, images, CompressOptions(images=16, final_images=32)
    ).candidate(policy, final=True)


def test_a_good_artifact_is_as_promised(quantized, data, tmp_path):
    network, candidate = quantized
    path = export(candidate, (data.test.normalized()[:1],), tmp_path / "model.onnx", "onnx")
    found = verify(path, "onnx", candidate, network.module, data.test)
    assert found.faults() == []
    assert found.size_bytes == path.stat().st_size
    assert 0 < found.peak_memory_bytes < 500e6
    assert {item.layer for item in found.drift} == {layer.name for layer in network.layers}
    assert found.faults(latency=1e-6)[-1].startswith("relative latency is")
    assert found.relative_size < 0.8
    assert found.faults(size=0.8) == []
    assert found.faults(size=0.1)[-1].startswith(f"the file has {found.size_bytes:,} bytes, 0.")


@pytest.mark.parametrize(("form", "batch"), [("openvino", None), ("executorch", 1)])
def test_other_runtimes_are_as_promised_too(form, batch, quantized, data, tmp_path):
    network, candidate = quantized
    test = data.test.slice(0, 64)
    path = tmp_path / f"model{find_format(form).suffix}"
    export(candidate, (test.normalized()[:1],), path, form, batch=batch)
    found = verify(path, form, candidate, network.module, test)
    assert found.faults() == []
    assert found.size_bytes == sum(file.stat().st_size for file in tmp_path.iterdir())
    assert found.peak_memory_bytes > 0
    assert (found.images, found.batch, found.runtime.split()[0]) == (64, 1, form)


@pytest.mark.parametrize("form", ["onnx", "openvino", "executorch"])
def test_an_artifact_of_another_network_is_not_verified(form, quantized, data, tmp_path):
    network, candidate = quantized
    path = tmp_path / f"model{find_format(form).suffix}"
    export(network.module, (data.test.normalized()[:1],), path, form, batch=1)
    with pytest.raises(
        RunError,
        match=rf"model{find_format(form).suffix} was made from another network "
        r"than the one it is held",
    ):
        verify(path, form, candidate, network.module, data.test)


def break_scale(path, layer, factor=1.5):
    """Change the scale that dequantizes the weights of one layer of an ONNX file."""
    model = onnx.load(path)
    node = next(node for node in model.graph.node if node.name == layer)
    dequantize = next(other for other in model.graph.node if node.input[1] in other.output)
    tensors = {item.name: item for item in model.graph.initializer}
    for other in model.graph.node:
        if other.op_type == "Constant":
            tensors[other.output[0]] = other.attribute[0].t
    scale = tensors[dequantize.input[1]]
    broken = (factor * onnx.numpy_helper.to_array(scale)).astype(np.float32)
    scale.CopyFrom(onnx.numpy_helper.from_array(broken, scale.name))
    onnx.save(model, path)


@pytest.mark.parametrize("index", [1, 2])
def test_a_layer_with_a_changed_scale_is_named(quantized, data, tmp_path, index):
    network, candidate = quantized
    path = export(candidate, (data.test.normalized()[:1],), tmp_path / "model.onnx", "onnx")
    broken = network.layers[index].name
    break_scale(path, broken)
    faults = verify(path, "onnx", candidate, network.module, data.test).faults()
    (named,) = [fault for fault in faults if fault.startswith("layer")]
    assert re.match(
        rf"layer '{broken}' is where the output begins to drift: "
        r"relative error 0\.[4-9]\d*, at most 0\.0",
        named,
    )


@pytest.mark.parametrize(
    ("low", "bound", "faults"),
    [
        (0.99, None, []),
        (1.01, None, []),
        (1.03, None, ["it is slower than the original: relative latency is 1.100 (from 1.030)"]),
        (0.99, 0.5, ["relative latency is 1.100 (from 0.990), above 0.500"]),
    ],
)
def test_slower_than_the_original_is_a_fault(low, bound, faults):
    found = dataclasses.replace(FOUND, latency=Comparison(1.1, low, 1.2, LATENCY, LATENCY))
    assert found.faults(latency=bound) == faults
