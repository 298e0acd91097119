"""Networks that formats cannot hold as they are, runtimes that refuse, doors not public."""

import logging
import sys

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from sartor.compression import INTEGER, fold, quantize
from sartor.errors import MissingPackageError, RunError
from sartor.export import export, find_format
from sartor.graph import trace
from sartor.policy import Policy
from sartor.targets import (
    ExecutorchTarget,
    OnnxRuntimeTarget,
    OpenVinoTarget,
    _onnx_file,
    _pt2e,
    _quiet,
    exporting,
    make,
)

RUNNABLE = ("onnx", "openvino", "executorch")


def error_of(network, inputs, form, folder, batch=None):
    """Largest error of an exported network, relative to its largest output."""
    chosen = find_format(form)
    batch = batch if chosen.dynamic else 1
    path = export(network, (inputs[:1],), folder / f"model{chosen.suffix}", form, batch=batch)
    (found,) = make(chosen.runtime).load(path).run([inputs.numpy()])
    with torch.no_grad():
        expected = network(inputs).numpy()
    return np.abs(found - expected).max() / np.abs(expected).max()


class Attention(nn.Module):
    """Attention between positions, and a head on their mean."""

    def __init__(self, mixer):
        super().__init__()
        self.embed = nn.Linear(6, 8)
        self.mixer = mixer
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.embed(x)
        if isinstance(self.mixer, nn.MultiheadAttention):
            x = self.mixer(x, x, x)[0]
        else:
            x = self.mixer(x)
        return self.head(x.mean(1))


def layer():
    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)


MIXERS = {
    "attention": lambda: nn.MultiheadAttention(8, 2, batch_first=True),
    "layer": layer,
    "encoder": lambda: nn.TransformerEncoder(layer(), 2, enable_nested_tensor=False),
}


@pytest.mark.parametrize("form", RUNNABLE)
@pytest.mark.parametrize("mixer", MIXERS)
def test_attention_is_exported(mixer, form, tmp_path):
    inputs = torch.randn(3, 5, 6)
    network = trace(Attention(MIXERS[mixer]()).eval(), inputs[:1]).module
    assert torch.backends.mha.get_fastpath_enabled()
    assert error_of(network, inputs, form, tmp_path) < 1e-4
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_fast_path_that_was_off_stays_off():
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with exporting("ONNX"):
            pass
        assert not torch.backends.mha.get_fastpath_enabled()
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def convolutions(dims, kernel, dilation, padding):
    convolution = (nn.Conv1d, nn.Conv2d)[dims - 1]
    return nn.Sequential(
        convolution(3, 6, kernel, padding=padding, dilation=dilation),
        nn.ReLU(),
        convolution(6, 4, kernel, padding=padding),
        nn.Flatten(),
        nn.LazyLinear(2),
    )


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("form", RUNNABLE)
@pytest.mark.parametrize("bits", [32, 8])
@pytest.mark.parametrize(
    ("dims", "kernel", "dilation", "padding"),
    [
        (1, 3, 2, "same"),
        (1, 4, 1, "same"),
        (2, 3, 2, "same"),
        (2, (2, 3), (3, 1), "same"),
        (2, 3, 2, "valid"),
    ],
)
def test_padding_in_words_is_exported(dims, kernel, dilation, padding, bits, form, tmp_path):
    inputs = torch.randn(4, 3, *(9,) * dims)
    model = convolutions(dims, kernel, dilation, padding)
    model(inputs)
    traced = trace(model.eval(), inputs[:1])
    network = fold(traced.module)
    if bits == 8:
        widths = {item.name: 8 for item in traced.layers if item.kind == "conv"}
        policy = Policy(weight_bits=widths, activation_bits=widths)
        network = quantize(network, policy, (inputs,), INTEGER)
    assert error_of(network, inputs, form, tmp_path) < (1e-4 if bits == 32 else 3e-2)


def test_pads_of_an_even_window_lie_behind(tmp_path):
    """Window 4, so 3 zeros on each line: 1 before and 2 after."""
    network = trace(nn.Sequential(nn.Conv1d(1, 1, 4, padding="same")).eval(), torch.randn(1, 1, 8))
    path = export(network.module, network.example_inputs, tmp_path / "a.onnx", "onnx")
    (node,) = [node for node in onnx.load(path).graph.node if node.op_type == "Conv"]
    attributes = {item.name: item for item in node.attribute}
    assert "auto_pad" not in attributes
    assert list(attributes["pads"].ints) == [1, 2]


class Optional(nn.Module):
    """Arguments that hardly anybody gives."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.last = nn.Linear(8, 2)

    def forward(self, x, causal=False, scale=2.0, mask=None):
        x = self.first(x) * scale
        if causal:
            x = x.tril()
        return self.last(torch.relu(x))


@pytest.mark.parametrize("form", RUNNABLE)
def test_networks_with_default_arguments_are_exported(form, tmp_path):
    inputs = torch.randn(3, 6)
    network = trace(Optional().eval(), inputs[:1]).module
    nodes = len(network.graph.nodes)
    assert error_of(network, inputs, form, tmp_path) < 1e-4
    assert len(network.graph.nodes) == nodes


def test_logs_of_others_go_on_while_something_is_exported(caplog):
    disabled = logging.root.manager.disable
    with exporting("ONNX"):
        logging.getLogger("host").warning("still here")
        logging.getLogger("torch._subclasses.fake_tensor").error("a traceback")
    assert [record.message for record in caplog.records] == ["still here"]
    assert logging.root.manager.disable == disabled
    assert not logging.getLogger("torch._subclasses.fake_tensor").filters


class Refusing:
    """A compiled network of OpenVINO, which itself computes something for inputs of any shape."""

    def infer(self, inputs):
        raise RuntimeError("Exception from src/infer.cpp:\nCheck failed")


@pytest.mark.parametrize("target", [OnnxRuntimeTarget, OpenVinoTarget, ExecutorchTarget])
def test_what_a_runtime_refuses_is_one_sentence(target, tmp_path):
    network = trace(nn.Sequential(nn.Conv2d(3, 4, 3)).eval(), torch.randn(1, 3, 8, 8))
    made = target()
    path = made.build(network.module, network.example_inputs, tmp_path / f"a{made.suffix}")
    session = made.load(path)
    if target is OpenVinoTarget:
        session._batches = Refusing()
    wrong = [np.zeros((1, 5), dtype=np.float32)]
    with pytest.raises(
        RunError, match=rf"^.*a\{made.suffix} cannot be run by {made.name}: [^\n]+$"
    ):
        session.run(wrong)


def test_a_torch_without_the_tracing_exporter_is_named(monkeypatch, tmp_path):
    network = trace(nn.Sequential(nn.Linear(3, 4)).eval(), torch.randn(1, 3))
    monkeypatch.setattr(torch.onnx, "export", lambda model, args, path: None)
    with pytest.raises(RunError, match=r"^torch \S+ has no ONNX exporter by tracing; install an"):
        _onnx_file.write_onnx(network.module, network.example_inputs, tmp_path / "a.onnx")


def test_a_torch_without_the_operators_of_integers_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, _pt2e._OPERATORS, None)
    network = trace(nn.Sequential(nn.Linear(3, 4)).eval(), torch.randn(1, 3))
    with pytest.raises(RunError, match=r"^torch \S+ has no torch\.ao\.quantization\.fx\._decompo"):
        _pt2e.with_integers(network.module)


def test_an_executorch_whose_threads_cannot_be_set_is_named(monkeypatch, tmp_path):
    from executorch.extension.pybindings import portable_lib

    network = trace(nn.Sequential(nn.Linear(3, 4)).eval(), torch.randn(1, 3))
    target = ExecutorchTarget()
    path = target.build(network.module, network.example_inputs, tmp_path / "a.pte")
    monkeypatch.delattr(portable_lib, "_unsafe_reset_threadpool")
    with pytest.raises(RunError, match=r"^this version of executorch does not let its number of"):
        target.load(path)


def test_without_psutil_measuring_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setattr(_quiet.os, "sched_getaffinity", lambda process: {0, 1})
    with pytest.raises(MissingPackageError, match="psutil is needed"), _quiet.quiet():
        pass


def raise_within(text):
    with exporting("X"):
        raise ValueError(text)


def test_what_an_exporter_says_is_cut_after_its_first_sentence():
    with pytest.raises(RunError, match=r"^X cannot express the network: it is too wide$"):
        raise_within("it is too wide. See the manual\nand much more")
    with pytest.raises(RunError, match=r"^X cannot express the network: ValueError$"):
        raise_within("")
