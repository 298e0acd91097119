"""Contracts as tests: a new agent inherits `AgentConformance`, a new target `TargetConformance`, and supplies one fixture."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, fx

from sartor import models
from sartor.agents import Agent, Trajectory
from sartor.compression import fold, layer_calls, quantize
from sartor.errors import PolicyError
from sartor.graph import Network, trace
from sartor.machine import Float32Array, FloatArray, write_text
from sartor.policy import FULL_WIDTH, Policy
from sartor.targets import Description, Patience, Support, Target, precisions


class AgentConformance:
    """What every agent must do. The fixture ``make`` returns a function that makes a fresh agent, always with the same seed."""

    def test_proposals_are_ratios(self, make: Callable[[], Agent]) -> None:
        """Every proposal lies in [0, 1]."""
        for proposal in _episodes(make(), 40):
            assert np.isfinite(proposal).all()
            assert ((proposal >= 0) & (proposal <= 1)).all()

    def test_the_same_episodes_give_the_same_proposals(self, make: Callable[[], Agent]) -> None:
        """Determinism, on which resuming relies."""
        for first, second in zip(_episodes(make(), 40), _episodes(make(), 40), strict=True):
            assert np.array_equal(first, second)

    def test_it_learns_from_episodes_of_others(self, make: Callable[[], Agent]) -> None:
        """Policies of rules may come before its own first episode; what it proposes then is as sound and as repeatable."""

        def shown() -> list[FloatArray]:
            agent = make()
            problem = agent.context.problem
            for ratio in (0.4, 0.6, 0.8):
                executed = problem.execute(np.full(len(problem), ratio)) / problem.sizes
                agent.learn(Trajectory(_observations(agent), executed, -ratio), own=False)
            return _episodes(agent, 3)

        for first, second in zip(shown(), shown(), strict=True):
            assert np.isfinite(first).all()
            assert ((first >= 0) & (first <= 1)).all()
            assert np.array_equal(first, second)

    def test_global_generators_are_left_alone(self, make: Callable[[], Agent]) -> None:
        """No draw from NumPy's or PyTorch's global generator."""
        import torch

        before = torch.random.get_rng_state().clone(), np.random.get_state()[1].copy()  # type: ignore[index] # noqa: NPY002
        _episodes(make(), 40)
        assert torch.equal(before[0], torch.random.get_rng_state())
        assert np.array_equal(before[1], np.random.get_state()[1])  # type: ignore[index] # noqa: NPY002


def _observations(agent: Agent) -> Float32Array:
    rng = np.random.default_rng(1)
    return rng.uniform(size=(len(agent.context.problem) + 1, agent.context.features)).astype(
        np.float32
    )


def _episodes(agent: Agent, count: int) -> list[FloatArray]:
    """Proposals of some episodes that are rewarded for keeping the first decision and giving up the last."""
    problem, proposals = agent.context.problem, []
    for _ in range(count):
        agent.begin()
        observations = _observations(agent)
        proposal = np.array([agent.act(observations[step], step) for step in range(len(problem))])
        executed = problem.execute(proposal) / problem.sizes
        agent.learn(
            Trajectory(observations, executed, float(executed[0] - executed[-1]) - 1), own=True
        )
        proposals.append(proposal)
    return proposals


class FakeTarget(Target):
    """A target without a runtime: latency is a fixed function of shapes and bits, outputs are PyTorch's.

    A multiply-accumulate takes 1 ns in fp32, 0.25 ns at 8 bits, and less in proportion to the product of the bits below; each
    layer costs 1 µs more. Artifacts are JSON files of the latency; only the object that built one can run it.
    """

    name = "fake"
    profiles = True
    suffix = ".json"

    def __init__(self, threads: int = 1, widths: tuple[int, ...] = (32, 8)) -> None:
        self.threads, self._widths = threads, widths
        self._built: dict[Path, fx.GraphModule] = {}

    def describe(self) -> Description:
        """Every pair of the given widths, for every kind of layer."""
        pairs = tuple(
            (w, a)
            for w in self._widths
            for a in self._widths
            if (w == FULL_WIDTH) == (a == FULL_WIDTH)
        )
        support = Support(pairs)
        kinds = {"conv": support, "depthwise": support, "linear": support}
        return Description(self.name, "no device", "fake 1", self.threads, kinds, measured=False)

    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """A JSON file with the latency of each layer."""
        layers: dict[str, float] = {}
        for call in layer_calls(network, inputs):
            macs = call.layer.weight.numel() * call.output[0].numel() / len(call.layer.weight)
            bits = getattr(call.layer, "weight_bits", FULL_WIDTH)
            layers[call.name] = layers.get(call.name, 0.0) + 1e-6 + 1e-9 * macs * bits / 32
        write_text(path, json.dumps(layers))
        self._built[path] = network
        return path

    def load(self, artifact: Path, *, threads: int | None = None) -> FakeSession:
        """The network that was built."""
        return FakeSession(self._built.get(artifact), sum(self.profile(artifact).values()))

    def profile(self, artifact: Path) -> dict[str, float]:
        """As the file says."""
        layers: dict[str, float] = json.loads(artifact.read_text(encoding="utf-8"))
        return layers


class FakeSession:
    """A network and its made-up latency."""

    batch: int | None = None

    def __init__(self, network: fx.GraphModule | None, seconds: float) -> None:
        self._network, self._seconds = network, seconds

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """PyTorch's output."""
        assert self._network is not None, "only the object that built an artifact can run it"
        with torch.no_grad():
            return [self._network(*map(torch.from_numpy, inputs)).numpy()]

    def seconds(self) -> float:
        """Always the same."""
        return self._seconds


class TargetConformance:
    """What every target must do. The fixture ``target`` returns one; ``tmp_path`` is pytest's."""

    def test_it_describes_itself(self, target: Target) -> None:
        """Names, threads and fp32 for convolutions."""
        description = target.describe()
        assert description.target == target.name
        assert description.threads >= 1
        assert (FULL_WIDTH, FULL_WIDTH) in description.supports["conv"].precisions

    def test_artifacts_compute_what_the_network_computes(
        self, target: Target, tmp_path: Path
    ) -> None:
        """fp32 within 1e-3; quantized within two steps of rounding of the largest output."""
        network, images = example_network()
        folded = fold(network.module)
        layers = [
            layer.name
            for layer in network.layers
            if (8, 8) in precisions(target.describe().supports, layer)
        ]
        policy = Policy(
            weight_bits=dict.fromkeys(layers, 8), activation_bits=dict.fromkeys(layers, 8)
        )
        quantized = quantize(folded, policy, (images,), target.scheme)
        for kind, candidate, tolerance in (("fp32", folded, 1e-3), ("int8", quantized, 2e-2)):
            artifact = target.build(candidate, (images[:1],), tmp_path / f"{kind}{target.suffix}")
            with torch.no_grad():
                expected = candidate(images).numpy()
            (outputs,) = target.load(artifact).run([images.numpy()])
            assert np.abs(outputs - expected).max() <= tolerance * np.abs(expected).max()

    def test_latency_is_relative_to_the_original(self, target: Target, tmp_path: Path) -> None:
        """A network is about as fast as itself; intervals hold the middle."""
        network, images = example_network()
        folded = fold(network.module)
        paths = [
            target.build(folded, (images[:1],), tmp_path / f"{name}{target.suffix}")
            for name in "ab"
        ]
        first, second = map(target.load, paths)
        comparison = target.compare(first, second, Patience(tolerance=0.1, limit_s=2))
        assert comparison.low <= comparison.relative <= comparison.high
        assert 0.5 < comparison.relative < 2
        assert comparison.candidate.samples >= 1

    def test_unsupported_widths_are_refused(self, target: Target) -> None:
        """By name of layer and target."""
        network, _ = example_network()
        name = network.layers[0].name
        with pytest.raises(
            PolicyError, match=f"{target.name} cannot run layer '{name}' at 5/7 bits"
        ):
            target.check(network, Policy(weight_bits={name: 5}, activation_bits={name: 7}))


def example_network() -> tuple[Network, Tensor]:
    """A small residual network with random weights, and images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = models.build("resnet8", classes=10, pixels=16).eval()
        images = torch.randn(8, 3, 16, 16)
    return trace(model, images[:1]), images


def break_scale(artifact: Path, layer: str, broken: Path, factor: float = 1.5) -> None:
    """Write an ONNX file like another, but for the scale that dequantizes the weights of one layer."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(artifact)
    node = next(node for node in model.graph.node if node.name == layer)
    dequantize = next(other for other in model.graph.node if node.input[1] in other.output)
    tensors = {item.name: item for item in model.graph.initializer}
    tensors |= {
        item.output[0]: item.attribute[0].t
        for item in model.graph.node
        if item.op_type == "Constant"
    }
    scale = tensors[dequantize.input[1]]
    scale.CopyFrom(
        numpy_helper.from_array(
            (factor * numpy_helper.to_array(scale)).astype(np.float32), scale.name
        )
    )
    onnx.save(model, broken)
