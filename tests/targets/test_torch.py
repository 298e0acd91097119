"""PyTorch as a target, eager and compiled; what needs a GPU is skipped where there is none."""

import os
import shutil
import sys

import numpy as np
import pytest
import torch
from torch import nn

from sartor import targets
from sartor.compression import fold
from sartor.errors import MissingPackageError, RunError, UsageError
from sartor.targets import InductorTarget, Patience, TargetOptions, TorchTarget
from sartor.targets._clock import WallClock, clock_of, warm_up
from sartor.targets._devices import dtypes_of
from sartor.targets._torch import tensors_of
from sartor.testing import TargetConformance, example_network

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
    ),
    pytest.param(
        "mps", marks=pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs MPS")
    ),
]


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


class TestTorch(TargetConformance):
    @pytest.fixture
    def target(self, device):
        return TorchTarget(device=device)


class TestInductor(TargetConformance):
    @pytest.fixture
    def target(self, device):
        return InductorTarget(device=device)


class Small(nn.Module):
    """Two outputs of two inputs, by name."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x, y):
        features = self.conv(x) + y
        return {"features": features, "mean": (features.mean((1, 2, 3)),)}


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    inputs = (torch.randn(1, 3, 6, 6), torch.randn(1, 8, 4, 4))
    return torch.fx.symbolic_trace(Small().eval()), inputs


def built(target, network, inputs, folder):
    path = target.build(network, inputs, folder / f"model{target.suffix}")
    return target.load(path)


def test_all_inputs_and_outputs_are_handed_over(small, tmp_path):
    network, inputs = small
    session = built(TorchTarget(), network, inputs, tmp_path)
    outputs = session.run([item.numpy() for item in inputs])
    with torch.no_grad():
        expected = tensors_of(network(*inputs))
    assert [item.shape for item in outputs] == [(1, 8, 4, 4), (1,)]
    for found, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_other_precisions_compute_about_the_same(precision, device, tmp_path):
    if precision not in dtypes_of(torch.device(device)):
        pytest.skip(f"{device} has no {precision}")
    network, images = example_network()
    exact = fold(network.module)
    target = TorchTarget(device=device, precision=precision)
    (outputs,) = built(target, exact, (images[:1],), tmp_path).run([images.numpy()])
    with torch.no_grad():
        expected = exact(images).numpy()

    assert outputs.dtype == np.float32
    assert 1e-6 < np.abs(outputs - expected).max() / np.abs(expected).max() < 0.05
    assert f"eager, {precision}" in target.describe().runtime


def test_what_is_not_there_is_refused():
    with pytest.raises(UsageError, match="device is 'gpu'; allowed are auto, cpu, cuda"):
        TorchTarget(device="gpu")
    with pytest.raises(
        UsageError, match=r"device 'cuda:99': this machine has .*; allowed are auto"
    ):
        TorchTarget(device="cuda:99")
    with pytest.raises(UsageError, match=r"precision 'int4' is none of .*; allowed are fp32"):
        TorchTarget(precision="int4")


@pytest.mark.parametrize(
    ("name", "options", "refused"),
    [
        ("onnxruntime", TargetOptions(device="cuda"), "choice of device, which is cuda"),
        ("openvino", TargetOptions(precision="bf16"), "choice of precision, which is bf16"),
        ("executorch", TargetOptions(device="mps"), "choice of device, which is mps"),
        ("table", TargetOptions(batch=4), "choice of batch, which is 4; allowed is 1"),
    ],
)
def test_options_that_a_target_would_ignore_are_refused(name, options, refused):
    with pytest.raises(UsageError, match=f"target {name} has no {refused}"):
        targets.make(name, options)


def test_a_batch_below_1_is_refused():
    with pytest.raises(UsageError, match="batch is 0; it must be at least 1"):
        targets.make("onnxruntime", TargetOptions(batch=0))


def test_the_process_is_left_as_it_was(small, tmp_path):
    network, inputs = small
    environment = dict(os.environ)
    threads = torch.get_num_threads()
    target = InductorTarget(threads=threads + 1)
    session = built(target, network, inputs, tmp_path)
    target.compare(session, session, Patience(limit_s=0.1))

    assert dict(os.environ) == environment
    assert torch.get_num_threads() == threads
    assert not torch.is_inference_mode_enabled()
    assert [path.name for path in tmp_path.iterdir()] == ["model.aoti.pt2"]


def test_a_package_of_another_precision_is_refused(small, tmp_path):
    network, inputs = small
    target = InductorTarget()
    path = target.build(network, inputs, tmp_path / "a.aoti.pt2")
    with pytest.raises(RunError, match=r"compiled for cpu in fp32; this target .* cpu in bf16"):
        InductorTarget(precision="bf16").load(path)


def test_files_of_others_are_refused(tmp_path):
    path = tmp_path / "a.aoti.pt2"
    path.write_bytes(b"nothing")
    with pytest.raises(RunError, match="cannot be read by inductor"):
        InductorTarget().load(path)

    network, images = example_network()
    TorchTarget().build(fold(network.module), (images[:1],), path)
    with pytest.raises(RunError, match="is no package of AOTInductor that sartor wrote"):
        InductorTarget().load(path)


def test_the_compiler_needs_a_compiler(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MissingPackageError, match=r"g\+\+ or clang\+\+ or c\+\+ is not there"):
        InductorTarget()


def test_a_torch_without_the_compiler_is_refused(small, tmp_path, monkeypatch):
    import torch._inductor

    network, inputs = small
    environment = dict(os.environ)
    monkeypatch.delattr(torch._inductor, "aoti_compile_and_package")
    with pytest.raises(RunError, match=r"has no torch\._inductor\.aoti_compile_and_package"):
        InductorTarget().build(network, inputs, tmp_path / "a.aoti.pt2")
    assert dict(os.environ) == environment


def test_the_processor_is_timed_by_the_clock_on_the_wall():
    assert isinstance(clock_of(torch.device("cpu")), WallClock)


def test_warming_up_ends_once_runs_take_equally_long():
    seconds = iter([*([8.0] * 5), *([4.0] * 5), *([2.0] * 5), *([2.05] * 5), 1.0])
    warm_up(lambda: next(seconds))
    assert list(seconds) == [1.0]


def test_warming_up_ends_in_any_case():
    calls = []

    def call():
        calls.append(2.0 ** len(calls))
        return calls[-1]

    warm_up(call, limit_s=0.0)
    assert len(calls) == 5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_work_in_the_queue_of_a_gpu_counts():
    clock = clock_of(torch.device("cuda"))
    matrix = torch.randn(4096, 4096, device="cuda")
    clock.seconds(lambda: matrix @ matrix)
    once = clock.seconds(lambda: matrix @ matrix)
    often = clock.seconds(lambda: [matrix @ matrix for _ in range(20)])
    # the call returns long before the products are there
    assert 5 < often / once < 80


def test_a_search_is_of_the_device_and_the_batch(model, data):
    import sartor

    options = sartor.SearchOptions(
        target="torch", target_batch=4, episodes=2, seed_with=(), finalists=1, baselines=()
    )
    report = sartor.compress(model, data, budget="macs<=60%", options=options).report
    assert report.target.batch == report.timed.batch == 4
    assert report.best.latency.candidate.measured
    assert report.timed.relative == report.best.latency.relative


def test_the_operators_of_integers_are_known_before_a_program_is_loaded(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.ao.quantization.fx._decomposed", None)
    with pytest.raises(RunError, match="whose operators exported integers need"):
        TorchTarget().load(tmp_path / "a.pt2")
