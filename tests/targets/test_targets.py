import dataclasses
import json
import math
import sys
import threading
import time

import numpy as np
import pytest
import torch
from torch import fx, nn

import topologies
from sartor import targets
from sartor.compression import INTEGER, fold, quantize
from sartor.cost import CostModel
from sartor.errors import MissingPackageError, RunError, UsageError
from sartor.graph import trace
from sartor.machine import write_text
from sartor.policy import Policy
from sartor.targets import (
    BitSerialTarget,
    CommandTarget,
    Deployment,
    ExecutorchTarget,
    LatencyTable,
    OnnxRuntimeTarget,
    OpenVinoTarget,
    Patience,
    QuietGauge,
    TableTarget,
    _timing,
    compare,
)
from sartor.targets._saturation import saturates
from sartor.targets._timing import median_interval
from sartor.targets.prediction import _table_file
from sartor.targets.prediction._layer_timings import LayerTimings
from sartor.testing import FakeTarget, TargetConformance, example_network


class TestFake(TargetConformance):
    @pytest.fixture
    def target(self):
        return FakeTarget()


class TestOnnxRuntime(TargetConformance):
    @pytest.fixture
    def target(self):
        return OnnxRuntimeTarget()


class TestBitSerial(TargetConformance):
    @pytest.fixture
    def target(self):
        return BitSerialTarget()


class TestOpenVino(TargetConformance):
    @pytest.fixture
    def target(self):
        return OpenVinoTarget()


class TestExecutorch(TargetConformance):
    @pytest.fixture
    def target(self):
        return ExecutorchTarget()


def test_int8_layers_become_integer_kernels(tmp_path):
    import onnx

    network, images = example_network()
    names = [layer.name for layer in network.layers if layer.kind == "conv"]
    bits = dict.fromkeys(names, 8)
    target = OnnxRuntimeTarget()
    candidate = quantize(
        fold(network.module), Policy(weight_bits=bits, activation_bits=bits), (images,), INTEGER
    )
    artifact = target.build(candidate, (images[:1],), tmp_path / "a.onnx")
    stored = {
        item.data_type for item in onnx.load(artifact).graph.initializer if len(item.dims) == 4
    }
    assert stored == {onnx.TensorProto.INT8}


class Narrow(FakeTarget):
    """Its kernels clip sums, as processors without VNNI do."""

    def load(self, artifact, *, threads=None):
        session = super().load(artifact)
        exact = session.run
        session.run = lambda inputs: [output.clip(max=output.max() / 2) for output in exact(inputs)]
        return session


def test_kernels_that_clip_sums_are_found():
    assert not saturates(FakeTarget())
    assert saturates(Narrow())


@pytest.mark.parametrize("quantized", [(), ("conv1", "layer1.0.conv1"), "all"])
def test_the_profiler_speaks_of_layers(tmp_path, quantized):
    network, images = example_network()
    names = [layer.name for layer in network.layers]
    bits = dict.fromkeys(names if quantized == "all" else quantized, 8)
    candidate = quantize(
        fold(network.module), Policy(weight_bits=bits, activation_bits=bits), (images,), INTEGER
    )
    target = OnnxRuntimeTarget()
    layers = target.profile(target.build(candidate, (images[:1],), tmp_path / "a.onnx"))
    assert set(names) <= set(layers)
    assert all(layers[name] > 0 for name in names)


def test_unknown_targets_are_refused():
    with pytest.raises(
        UsageError,
        match="target 'tpu' is not known; allowed are onnxruntime, onnxruntime-bitserial, openvino",
    ):
        targets.make("tpu")


def test_bf16_computes_about_what_fp32_does(tmp_path):
    try:
        target = targets.make("openvino-bf16")
    except UsageError as error:
        pytest.skip(str(error))
    network, images = example_network()
    artifact = target.build(fold(network.module), (images[:1],), tmp_path / "a.xml")
    (rounded,), (exact,) = (
        chosen.load(artifact).run([images.numpy()]) for chosen in (target, OpenVinoTarget())
    )
    assert 1e-5 < np.abs(rounded - exact).max() / np.abs(exact).max() < 0.05


def test_a_processor_without_bf16_is_not_asked_for_it(monkeypatch):
    import openvino

    monkeypatch.setattr(openvino.Core, "get_property", lambda self, *key: ["FP32", "INT8"])
    with pytest.raises(UsageError, match="has no bf16; openvino runs FP32, INT8 on it"):
        targets.make("openvino-bf16")


def test_a_missing_runtime_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'sartor\[openvino\]'"):
        targets.make("openvino")


def test_a_file_that_is_no_network_is_refused(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"nothing")
    for target in (OnnxRuntimeTarget(), OpenVinoTarget()):
        with pytest.raises(RunError, match=rf"a.onnx cannot be loaded by {target.name}"):
            target.load(path)


# a program that prints a latency that depends on the size of the file it is given
PROGRAM = (
    "import os,sys; print('warming up 3'); "
    "print('median:', os.path.getsize(sys.argv[1]) / 1e6, 'ms')"
)


def command(program=PROGRAM, **options):
    return CommandTarget(f'{sys.executable} -c "{program}" {{model}}', **options)


def test_a_command_measures_what_it_prints(tmp_path):
    small, large = tmp_path / "small file; rm x", tmp_path / "large"
    small.write_bytes(b"0" * 1000)
    large.write_bytes(b"0" * 4000)
    target = command()
    comparison = target.compare(
        target.load(small), target.load(large), Patience(limit_s=1.0, warm_up=0)
    )
    assert comparison.relative == pytest.approx(0.25)
    assert comparison.original.median_s == pytest.approx(4e-6)


def test_slow_commands_run_often_enough_for_an_interval(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"0" * 1000)
    session = command().load(path)
    found = command().compare(session, session, Patience(limit_s=0.0, least_turns=6))
    assert found.candidate.samples == 6


@pytest.mark.parametrize(
    ("program", "options", "error", "message"),
    [
        ("import sys; sys.exit('no device')", {}, RunError, "ended with status 1: no device"),
        ("print('done')", {}, RunError, "printed no number"),
        (
            "print('3.2 ms, 0 errors')",
            {},
            RunError,
            "'0', which .* finds last, is no latency; give --command-pattern",
        ),
        ("import time; time.sleep(9)", {"timeout_s": 0.2}, RunError, "timed out"),
        ("print(1)", {"pattern": "[0-9]"}, UsageError, "has no group"),
        ("print(1)", {"pattern": "("}, UsageError, "cannot be read"),
        ("print(1)", {"unit": "h"}, UsageError, "unit 'h' is not known; allowed are s, ms, us, ns"),
    ],
)
def test_commands_that_fail_say_why(tmp_path, program, options, error, message):
    path = tmp_path / "model"
    path.write_bytes(b"0")
    with pytest.raises(error, match=message):
        command(program, **options).load(path).seconds()


def test_what_a_command_prints_need_not_be_utf8(tmp_path):
    # 0xb5 is micro in Latin-1
    program = "import sys; sys.stdout.buffer.write(b'median: 3.5 ' + bytes([0xb5]) + b's')"
    assert command(program, unit="us").load(tmp_path).seconds() == pytest.approx(3.5e-6)


def test_commands_without_a_place_for_the_model_or_that_do_not_exist_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"has no \{model\}"):
        CommandTarget("benchmark")
    with pytest.raises(MissingPackageError, match="'no-such-benchmark' does not exist"):
        CommandTarget("no-such-benchmark {model}").load(tmp_path).seconds()


def test_drift_cancels_between_neighbours():
    """A machine that gets ever slower, and slower still at times, changes both sides alike."""
    rng, calls = np.random.default_rng(0), iter(range(10**9))

    def timed(seconds):
        return lambda: seconds * (1 + next(calls) * 1e-3) * (3.0 if rng.uniform() < 0.05 else 1.0)

    comparison = compare(timed(3e-3), timed(10e-3), Patience(limit_s=1.0))
    assert comparison.relative == pytest.approx(0.3, rel=0.03)
    assert comparison.low <= 0.3 * 1.02
    assert comparison.high >= 0.3 * 0.98


def test_caches_that_the_other_left_cold_do_not_change_the_relative_latency():
    """A large original puts a small candidate's weights out of the caches.

    They take some runs to fill again.
    """
    warm, last = {"candidate": 0.0, "original": 0.0}, [""]

    def timed(name, seconds, cold):
        def call():
            warm[name] = warm[name] if last[0] == name else 0.0
            last[0] = name
            taken = seconds * (1 + cold * math.exp(-warm[name] / 3e-3))
            warm[name] += taken
            return taken

        return call

    comparison = compare(
        timed("candidate", 0.5e-3, 0.4), timed("original", 6e-3, 0.05), Patience(least_s=0.05)
    )
    assert comparison.relative == pytest.approx(0.5 / 6, rel=0.02)


def test_a_busy_neighbour_does_not_change_the_relative_latency():
    """It slows one side by half and the other by a fifth, most of the time."""
    rng, busy = np.random.default_rng(0), [True]

    def timed(seconds, slowed):
        def call():
            if rng.uniform() < 0.05:
                busy[0] = rng.uniform() < 0.8
            return seconds * (slowed if busy[0] else 1.0) * rng.uniform(1.0, 1.01)

        return call

    comparison = compare(timed(6.3e-3, 1.5), timed(10e-3, 1.2), Patience(least_s=0.2))
    assert comparison.relative == pytest.approx(0.63, rel=0.01)
    assert comparison.low <= 0.63 <= comparison.high


class BusyMachine:
    """Time as it passes on a machine with a neighbour.

    That works four fifths of the time, for a second or so, and slows int8 more.
    """

    def __init__(self, seed):
        self.now, self._until, self._busy, self._rng = 0.0, 0.0, False, np.random.default_rng(seed)

    def perf_counter(self):
        return self.now

    def timed(self, seconds, slowed):
        def call():
            while self.now >= self._until:
                self._busy = not self._busy
                self._until = self.now + self._rng.exponential(1.0 if self._busy else 0.25)
            taken = seconds * (slowed if self._busy else 1.0) * self._rng.uniform(1.0, 1.02)
            self.now += taken
            return taken

        return call


def test_a_comparison_waits_for_a_moment_as_quiet_as_those_before(monkeypatch):
    machine, gauge, quick = (
        BusyMachine(0),
        QuietGauge(),
        Patience(tolerance=0.05, limit_s=5.0, fastest=3),
    )
    monkeypatch.setattr(_timing, "time", machine)
    candidate, original = machine.timed(0.6e-3, 1.55), machine.timed(1e-3, 1.25)
    compare(candidate, original, Patience(least_s=5.0), pin=False, gauge=gauge)
    found = [compare(candidate, original, quick, pin=False, gauge=gauge) for _ in range(60)]
    settled = [comparison.relative for comparison in found if comparison.settled]
    assert len(settled) > 50
    assert settled == pytest.approx([0.6] * len(settled), rel=0.03)
    unaware = [compare(candidate, original, quick, pin=False).relative for _ in range(60)]
    assert np.mean(np.array(unaware) > 0.7) > 0.5
    busy = [comparison.relative for comparison in found if not comparison.settled]
    assert all(relative > 0.59 for relative in busy)


def test_a_machine_that_became_slower_for_good_is_believed_after_a_while(monkeypatch):
    machine, gauge, quick = BusyMachine(0), QuietGauge(), Patience(limit_s=0.5)
    monkeypatch.setattr(_timing, "time", machine)

    def settles(slower):
        sides = (machine.timed(seconds * slower, 1.0) for seconds in (0.6e-3, 1e-3))
        return compare(*sides, quick, pin=False, gauge=gauge).settled

    assert settles(1.0)
    assert not settles(1.5)
    assert any(settles(1.5) for _ in range(20))


@pytest.mark.parametrize("asleep", range(6))
def test_a_machine_that_slept_does_not_change_the_relative_latency(asleep):
    """One call, of either side, takes a minute, after which there is no time left."""
    calls = iter(range(10**9))

    def timed(seconds):
        return lambda: 60.0 if next(calls) == asleep else seconds

    comparison = compare(timed(3e-3), timed(10e-3), Patience(limit_s=0.0, warm_up=0), runs=1)
    assert comparison.relative == pytest.approx(0.3)


def test_the_interval_of_the_median_covers_it():
    rng = np.random.default_rng(0)
    intervals = [median_interval(rng.lognormal(size=25)) for _ in range(2000)]
    covered = np.mean([low <= 1.0 <= high for low, high in intervals])
    assert 0.94 <= covered <= 0.99


def test_batches_of_any_size_run(tmp_path):
    network, images = example_network()
    for target in (OnnxRuntimeTarget(), OpenVinoTarget()):
        session = target.load(
            target.build(fold(network.module), (images[:1],), tmp_path / f"{target.name}.onnx")
        )
        (outputs,) = session.run([images.numpy()])
        assert outputs.shape == (len(images), 10)


def test_sessions_of_executorch_run_on_their_own_threads(tmp_path):
    """The process has one pool of threads.

    A session that runs after another one replaced it waits for ever.
    """
    from executorch.extension.pybindings import portable_lib

    target, (network, images), (other, _) = (
        ExecutorchTarget(),
        two_convolutions(),
        two_convolutions(),
    )
    artifact = target.build(network, (images[:1],), tmp_path / "a.pte")
    sessions = [(threads, target.load(artifact, threads=threads)) for threads in (1, 2)]
    target.build(other, (images[:1],), artifact)  # as a deployment builds its next candidate
    with torch.no_grad():
        expected = network(images).numpy()
    for threads, session in [*sessions, *sessions]:
        session.seconds()
        assert portable_lib._threadpool_get_thread_count() == threads
        assert np.abs(session.run([images.numpy()])[0] - expected).max() < 1e-4


def key(width_in, width_out, bits=(32, 32)):
    return f"conv {width_in}->{width_out} kernel 3x3 stride 1x1 on 8x8 at {bits[0]}/{bits[1]} bits"


def table_of(path, seconds):
    path.write_text(json.dumps({"schema": 1, "measured_on": "a board", "seconds": seconds}))
    return path


def two_convolutions():
    layers = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1))
    return fx.symbolic_trace(layers.eval()), torch.randn(2, 4, 8, 8)


def test_a_table_sums_its_layers_and_fills_in_widths_between(tmp_path):
    true = {(i, o): 1e-6 + 2e-7 * i + 1e-8 * i * o for i in (4, 16) for o in (4, 16)}
    target = TableTarget.read(
        table_of(
            tmp_path / "table.json", {key(*widths): seconds for widths, seconds in true.items()}
        )
    )
    network, images = two_convolutions()
    session = target.load(target.build(network, (images[:1],), tmp_path / "a.layers.json"))
    expected = (1e-6 + 2e-7 * 4 + 1e-8 * 4 * 8) + (1e-6 + 2e-7 * 8 + 1e-8 * 8 * 16)
    assert session.seconds() == pytest.approx(expected, rel=1e-6)
    assert not target.describe().measured


def test_a_table_tells_the_same_weights_at_other_sizes_and_strides_apart(tmp_path):
    path = tmp_path / "latency.json"
    for pixels, stride in ((8, 1), (12, 1), (8, 2)):
        network, _ = two_convolutions()
        network.get_submodule("1").stride = (stride, stride)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(0.1)
        network = trace(network, torch.randn(1, 4, pixels, pixels))
        deployment = Deployment.build(FakeTarget(), network, tmp_path)
        assert (
            LatencyTable.measure(CostModel(network), deployment, {}, path).original_s
            == deployment.original_s()
        )


def test_grouped_convolutions_have_entries_of_their_own(tmp_path):
    network = trace(
        topologies.randomized(topologies.Grouped()), topologies.example_inputs(topologies.Grouped)
    )
    path = tmp_path / "latency.json"
    LatencyTable.measure(
        CostModel(network), Deployment.build(FakeTarget(), network, tmp_path), {}, path
    )
    keys = [key for key in json.loads(path.read_text())["seconds"] if "groups 4" in key]
    assert "conv 16->32 kernel 3x3 stride 1x1 groups 4 on 16x16 at 32/32 bits" in keys
    target = TableTarget.read(path)
    built = target.build(fold(network.module), network.example_inputs, tmp_path / "a.layers.json")
    assert set(json.loads(built.read_text())) & set(keys)
    assert target.load(built).seconds() > 0


class DilatedSharedSequence(torch.nn.Module):
    """A dilated convolution that is called twice, and a linear layer on a sequence."""

    def __init__(self):
        super().__init__()
        self.stem, self.twice = (
            torch.nn.Conv2d(3, 8, 3, padding=1),
            torch.nn.Conv2d(8, 8, 3, padding=2, dilation=2),
        )
        self.tokens, self.head = torch.nn.Linear(8, 12), torch.nn.Linear(12, 5)

    def forward(self, x):
        x = self.twice(self.twice(self.stem(x)).relu()).relu()
        return self.head(self.tokens(x.flatten(2).transpose(1, 2)).relu().mean(1))


class SlowCalls(FakeTarget):
    """One whose every call costs 20 µs beside the layers."""

    def describe(self):
        return dataclasses.replace(super().describe(), measured=True)

    def load(self, artifact, *, threads=None):
        session = super().load(artifact)
        seconds = session.seconds() + 20e-6
        session.seconds = lambda: seconds
        return session


def test_layers_are_foretold_without_what_a_call_costs(tmp_path):
    network, _ = two_convolutions()
    network = trace(network, (torch.randn(1, 4, 8, 8),))
    cells = LayerTimings.measure(Deployment.build(SlowCalls(), network, tmp_path), None, "original")
    assert cells.boundary((32, 32), np.array([10.0, 1e6])).tolist() == pytest.approx(
        [20e-6, 20e-6 * 1e6 / (16 * 128**2)]
    )
    layer = network.layers[0]
    alone = 1e-6 + 1e-9 * layer.macs
    assert cells.surface(layer, (32, 32)).seconds(
        layer.in_channels, layer.out_channels
    ) == pytest.approx(alone, rel=0.02)


def comparison(relative, *, settled):
    latency = targets.Latency(1e-3, 1e-3, 1e-3, 5)
    return targets.Comparison(relative, relative, relative, latency, latency, settled)


def test_what_found_no_quiet_moment_is_measured_once_more_before_it_is_kept(tmp_path):
    network, _ = two_convolutions()
    cells = LayerTimings.measure(
        Deployment.build(FakeTarget(), trace(network, (torch.randn(1, 4, 8, 8),)), tmp_path),
        None,
        "original",
    )
    busy = iter([comparison(0.5, settled=False), comparison(0.3, settled=True)])
    assert cells.seconds("a", lambda: next(busy)) == pytest.approx(0.3 * cells.original_s)
    quiet = iter([comparison(0.5, settled=True)])
    assert cells.seconds("b", lambda: next(quiet)) == pytest.approx(0.5 * cells.original_s)


def test_searches_that_share_a_table_add_to_it_and_agree(tmp_path):
    network, _ = two_convolutions()
    network = trace(network, (torch.randn(1, 4, 8, 8),))
    mine, theirs = (
        LayerTimings.measure(
            Deployment.build(FakeTarget(), network, tmp_path), tmp_path / "table.json", "original"
        )
        for _ in range(2)
    )
    mine.seconds("x", lambda: comparison(0.5, settled=True))
    theirs.seconds("y", lambda: comparison(0.25, settled=True))
    assert theirs.seconds("x", lambda: pytest.fail("it is in the file")) == 0.5 * mine.original_s
    mine.seconds("z", lambda: comparison(0.1, settled=True))
    kept = json.loads((tmp_path / "table.json").read_text())["seconds"]
    assert {"original", "x", "y", "z"} <= set(kept)


def test_nothing_is_lost_where_two_searches_write_a_table_at_once(tmp_path, monkeypatch):
    network, _ = two_convolutions()
    network, path, begun = (
        trace(network, (torch.randn(1, 4, 8, 8),)),
        tmp_path / "table.json",
        threading.Event(),
    )
    both = {
        name: LayerTimings.measure(
            Deployment.build(FakeTarget(), network, tmp_path), path, "original"
        )
        for name in ("x", "y")
    }

    def write_slowly(*args):
        begun.set()
        time.sleep(0.2)  # the other one would read meanwhile what this one is about to replace
        write_text(*args)

    def keep(name):
        both[name].seconds(name, lambda: comparison(0.5, settled=True))

    monkeypatch.setattr(_table_file, "write_text", write_slowly)
    other = threading.Thread(target=keep, args=("y",))
    other.start()
    assert begun.wait(10)
    keep("x")
    other.join()
    assert {"original", "x", "y"} <= set(json.loads(path.read_text())["seconds"])


def test_layers_are_timed_as_they_are_called(tmp_path):
    network = trace(topologies.randomized(DilatedSharedSequence()), (torch.randn(2, 3, 6, 6),))
    path, deployment = tmp_path / "latency.json", Deployment.build(FakeTarget(), network, tmp_path)
    cells = LayerTimings.measure(deployment, path, "original")
    seconds = [
        layer.calls * cells.surface(layer, (32, 32)).seconds(layer.in_channels, layer.out_channels)
        for layer in network.layers
    ]
    assert sum(seconds) == pytest.approx(cells.original_s, rel=1e-3)
    keys = json.loads(path.read_text())["seconds"]
    assert "conv 8->8 kernel 3x3 stride 1x1 dilation 2x2 on 6x6 at 32/32 bits" in keys
    assert "linear 8->12 kernel 1 stride 1 on 36 at 32/32 bits" in keys
    target = TableTarget.read(path)
    built = target.build(fold(network.module), network.example_inputs, tmp_path / "a.layers.json")
    assert target.load(built).seconds() == pytest.approx(cells.original_s, rel=1e-3)


class ValidAndMultiplied(nn.Module):
    """Convolutions without padding, by a step, and a depthwise one.

    The last gives two channels for each.
    """

    def __init__(self):
        super().__init__()
        self.valid, self.step = nn.Conv2d(3, 8, 5), nn.Conv2d(16, 8, 3, stride=2)
        self.depthwise, self.head = nn.Conv2d(8, 16, 3, padding=1, groups=8), nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.step(self.depthwise(self.valid(x).relu()).relu()).relu().mean((2, 3)))


@pytest.mark.parametrize("target", [FakeTarget, SlowCalls])
def test_a_network_takes_by_its_table_what_it_takes(target, tmp_path):
    network = trace(ValidAndMultiplied(), (torch.randn(1, 3, 12, 12),))
    path, deployment = tmp_path / "latency.json", Deployment.build(target(), network, tmp_path)
    table = LatencyTable.measure(CostModel(network), deployment, {}, path)
    keys = json.loads(path.read_text())["seconds"]
    assert "conv 3->8 kernel 5x5 stride 1x1 padding 0x0 on 12x12 at 32/32 bits" in keys
    assert "depthwise 8->16 kernel 3x3 stride 1x1 on 8x8 at 32/32 bits" in keys
    summed = TableTarget.read(path)
    built = summed.build(fold(network.module), network.example_inputs, tmp_path / "a.layers.json")
    assert summed.load(built).seconds() == pytest.approx(table.original_s, rel=0.02)


def test_entries_whose_lengths_do_not_go_together_are_none_of_layers(tmp_path):
    with pytest.raises(RunError, match="has no entry of a layer"):
        TableTarget.read(
            table_of(
                tmp_path / "table.json",
                {"conv 4->8 kernel 3 stride 1x1 on 8x8 at 32/32 bits": 1e-6},
            )
        )


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        ("4->8", "0->8", "inputs 0 is not of whole numbers of at least 1"),
        ("4->8", "4->0", "outputs 0 is not"),
        ("kernel 3x3", "kernel 3x", "kernel 3x is not"),
        ("stride 1x1", "stride 0x0", "stride 0x0 is not"),
        ("stride 1x1", "stride 1x1 dilation 0x1", "dilation 0x1 is not"),
        ("stride 1x1", "stride 1x1 padding x1", "padding x1 is not of whole numbers of at least 0"),
        ("stride 1x1", "stride 1x1 groups 0", "groups 0 is not"),
        ("8x8", "x", "size x is not"),
        ("8x8", "0x8", "size 0x8 is not"),
        ("32/32", "99/99", "99/99 bits are not allowed; 1 to 8 and 32 are"),
        ("32/32", "0/8", "0/8 bits are not allowed"),
    ],
)
def test_entries_of_layers_that_there_cannot_be_are_refused(tmp_path, right, wrong, reason):
    named = key(4, 8).replace(right, wrong)
    path = table_of(tmp_path / "table.json", {"network 123": 1e-3, key(4, 8): 1e-6, named: 1e-6})
    with pytest.raises(RunError, match=f"table.json: '{named}' is no layer: {reason}"):
        TableTarget.read(path)


def test_a_table_knows_widths_of_bits_that_no_runtime_has(tmp_path):
    target = TableTarget.read(
        table_of(
            tmp_path / "table.json", {key(4, 8): 9e-6, key(8, 16): 9e-6, key(4, 8, (3, 5)): 2e-6}
        )
    )
    assert (3, 5) in target.describe().supports["conv"].precisions
    network, images = two_convolutions()
    candidate = quantize(
        network, Policy(weight_bits={"0": 3}, activation_bits={"0": 5}), (images,), target.scheme
    )
    fast = target.load(target.build(candidate, (images[:1],), tmp_path / "a.layers.json")).seconds()
    slow = target.load(target.build(network, (images[:1],), tmp_path / "b.layers.json")).seconds()
    assert fast == pytest.approx(slow - 7e-6, rel=1e-6)


def test_tables_that_lack_something_say_what(tmp_path):
    with pytest.raises(RunError, match=r"table .*none.json does not exist"):
        TableTarget.read(tmp_path / "none.json")
    with pytest.raises(RunError, match="has no entry of a layer"):
        TableTarget.read(table_of(tmp_path / "empty.json", {}))
    for wrong in ("fast", None, -1e-6, 0, float("nan")):
        with pytest.raises(
            RunError, match=rf"'conv 4->8 .*' takes {wrong!r}; seconds above 0 are allowed"
        ):
            TableTarget.read(table_of(tmp_path / "wrong.json", {key(4, 8): wrong}))
    network, images = two_convolutions()
    target = TableTarget.read(
        table_of(tmp_path / "table.json", {key(4, 8).replace("3x3", "1x1"): 1e-6})
    )
    with pytest.raises(
        UsageError, match="no entry for 'conv 4->8 kernel 3x3 stride 1x1 on 8x8 at 32/32 bits'"
    ):
        target.build(network, (images[:1],), tmp_path / "a.layers.json")
