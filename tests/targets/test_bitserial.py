"""Layers of one to eight bits, in a kernel of our own, are what the simulation says."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sartor.compression import CompressOptions, Compressor, deployable
from sartor.errors import MissingPackageError, PolicyError, RunError
from sartor.export import export, find_format, verify
from sartor.graph import trace
from sartor.policy import Policy
from sartor.targets import BitSerialTarget
from sartor.targets.bitserial import _library

ONE_TO_EIGHT = range(1, 9)


def mixed():
    """Kernels, strides, dilations, paddings and numbers of channels that fill no word."""
    return nn.Sequential(
        nn.Conv2d(3, 20, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(20, 70, (3, 2), stride=(2, 1), padding=(1, 2)),
        nn.ReLU(),
        nn.Conv2d(70, 13, (1, 3), padding="same", dilation=(1, 2), bias=False),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(52, 7),
    )


def candidate_of(network, images, weights, activations, layers=None):
    layers = layers or [layer.name for layer in network.layers]
    policy = Policy(
        weight_bits=dict.fromkeys(layers, weights),
        activation_bits=dict.fromkeys(layers, activations),
    )
    options = CompressOptions(images=len(images))
    return Compressor(network, images, options, scheme=BitSerialTarget().scheme).candidate(policy)


def traced(module, *shape):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(24, *shape, generator=generator)
    return trace(module.eval().requires_grad_(False), images[:1]), images


def require_same(candidate, images, path, *, rounded_apart=2):
    target = BitSerialTarget()
    target.build(deployable(candidate), (images[:2],), path)
    (outputs,) = target.load(path).run([images.numpy()])
    expected = candidate(images).numpy()
    farthest = np.abs(outputs - expected).reshape(len(images), -1).max(1)
    largest = np.abs(expected).max()
    # A sum in another order may be rounded to the next step, of which an image has few.
    assert (farthest > 1e-5 * largest).sum() <= rounded_apart
    assert (farthest < 0.05 * largest).all()


@pytest.mark.parametrize("weights", ONE_TO_EIGHT)
def test_a_layer_computes_what_is_simulated(weights, tmp_path):
    """Kernels, numbers of channels, and all bits of activations; nothing behind it is rounded."""
    shapes = [(3, 8, 3), (65, 9, 1), (130, 16, (3, 2))]
    for activations in ONE_TO_EIGHT:
        if (weights, activations) == (8, 8):
            continue
        channels, outputs, kernel = shapes[(weights + activations) % len(shapes)]
        layer = nn.Sequential(nn.Conv2d(channels, outputs, kernel, stride=2, padding=1))
        network, images = traced(layer, channels, 7, 6)
        candidate = candidate_of(network, images, weights, activations)
        require_same(candidate, images, tmp_path / "layer.onnx", rounded_apart=0)


@pytest.mark.parametrize(("weights", "activations"), [(1, 2), (2, 2), (4, 3), (6, 8)])
def test_a_network_computes_what_is_simulated(weights, activations, tmp_path):
    network, images = traced(mixed(), 3, 11, 9)
    candidate = candidate_of(network, images, weights, activations)
    require_same(candidate, images, tmp_path / "network.onnx")


def test_linear_layers_of_sequences(tmp_path):
    network, images = traced(nn.Sequential(nn.Linear(70, 9), nn.ReLU(), nn.Linear(9, 5)), 6, 70)
    require_same(candidate_of(network, images, 3, 2), images, tmp_path / "sequences.onnx")


def test_few_bits_stand_beside_int8_and_fp32(tmp_path):
    network, images = traced(mixed(), 3, 11, 9)
    coarse, fine, _, _ = (layer.name for layer in network.layers)
    policy = Policy(
        weight_bits={coarse: 2, fine: 8},
        activation_bits={coarse: 3, fine: 8},
    )
    options = CompressOptions(images=len(images))
    scheme = BitSerialTarget().scheme
    candidate = Compressor(network, images, options, scheme=scheme).candidate(policy)
    path = tmp_path / "mixed.onnx"
    require_same(candidate, images, path, rounded_apart=len(images))

    import onnx

    operators = [node.op_type for node in onnx.load(path).graph.node]
    assert operators.count("BitSerial") == 1
    assert operators.count("Conv") == 2
    named = {node.name for node in onnx.load(path).graph.node}
    assert named >= {layer.name for layer in network.layers}


def test_layers_that_the_kernel_lacks_are_refused_by_name():
    grouped = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.ReLU(), nn.Conv2d(8, 4, 1))
    network, _ = traced(grouped, 4, 8, 8)
    first, last = (layer.name for layer in network.layers)
    target = BitSerialTarget()
    target.check(network, Policy(weight_bits={last: 2}, activation_bits={last: 2}))
    with pytest.raises(PolicyError, match=f"cannot run layer '{first}' at 2/2 bits"):
        target.check(network, Policy(weight_bits={first: 2}, activation_bits={first: 2}))


def test_an_export_has_the_sources_beside_it_and_is_verified(data, model, tmp_path):
    images = data.calibration.normalized()
    network = trace(model, images[:1])
    convolutions = [layer.name for layer in network.layers if layer.kind == "conv"]
    candidate = deployable(candidate_of(network, images, 2, 2, convolutions))
    form = "onnx-bitserial"
    path = export(candidate, (images[:1],), tmp_path / "few.bitserial.onnx", form)
    written = {file.name for file in tmp_path.iterdir()}
    assert written == {"few.bitserial.onnx", "kernel.c", "operator.c"}
    assert find_format(form).size_bytes(path) > path.stat().st_size

    original = deployable(network.module)
    verification = verify(path, form, candidate, original, data.test)
    assert verification.accuracy == pytest.approx(verification.simulated, abs=0.01)


def test_without_a_compiler_it_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingPackageError, match="a compiler for C is needed"):
        _library.library.__wrapped__()


def test_what_the_compiler_says_is_passed_on(monkeypatch):
    monkeypatch.setattr(_library, "_FLAGS", ("-no-such-flag",))
    with pytest.raises(RunError, match=r"could not compile operator.c: .*no-such-flag"):
        _library.library.__wrapped__()


@pytest.mark.parametrize(
    "words",
    [
        ["cc", "-march=native"],
        ["cc", "-mavx2"],
        ["cc"],
        ["aarch64-linux-gnu-gcc", "-static"],
    ],
)
def test_every_way_to_count_bits_computes_sums_of_products(words, tmp_path):
    """All pairs of bits; of other processors where a compiler and an emulator are at hand."""
    compiler, *flags = words
    program = tmp_path / "check"
    runner = []
    if compiler != "cc":
        runner = [shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")]
    if shutil.which(compiler) is None or None in runner:
        pytest.skip(f"{compiler}, or what runs its programs, is not installed")

    source = Path(__file__).parent / "bitserial_check.c"
    kernel = _library.sources()[0].parent
    command = [compiler, "-O2", *flags, "-I", kernel, "-o", program, source]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    if compiled.returncode and "unrecognized" in compiled.stderr:
        pytest.skip(f"{compiler} knows no {flags}")
    assert not compiled.returncode, compiled.stderr
    assert subprocess.check_output([*runner, program], text=True) == "0 wrong\n"
