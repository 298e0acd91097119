"""The contract of targets, as tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, fx

from sartor.compression import fold, quantize
from sartor.errors import PolicyError
from sartor.graph import Network
from sartor.policy import FULL_WIDTH, Policy
from sartor.targets import Patience, Session, Target, TargetOptions, of_batch, precisions
from sartor.testing._example import example_network

#: Errors that are allowed, relative to the largest output: of fp32, and of two steps of rounding.
_EXACT = 1e-3
_ROUNDED = 2e-2


class TargetConformance:
    """What every target must do.

    A new one inherits this as a test class and supplies the fixture ``target``, which returns one;
    ``tmp_path`` is pytest's.
    """

    def test_it_describes_itself(self, target: Target) -> None:
        """Names, threads and fp32 for convolutions, if it has floats at all."""
        description = target.describe()
        assert description.target == target.name
        assert description.threads == target.threads >= 1
        has_floats = (FULL_WIDTH, FULL_WIDTH) in description.supports["conv"].precisions
        assert has_floats == bool(description.dtypes)

    def test_options_give_its_threads(self, target: Target) -> None:
        """A target that needs no option of its own is made from threads alone."""
        if not target.needs:
            made = type(target).from_options(TargetOptions(threads=2))
            assert made.describe().threads == 2

    def test_artifacts_compute_what_the_network_computes(
        self, target: Target, tmp_path: Path
    ) -> None:
        """fp32 within 1e-3 of the largest output; quantized within two steps of rounding."""
        if not target.runs:
            pytest.skip("it gives no outputs")

        network, images = example_network()
        exact = fold(network.module)
        _require_outputs(target, exact, images, tmp_path / "fp32", _EXACT)

        rounded = _in_8_bits(target, network, images)
        _require_outputs(target, rounded, images, tmp_path / "int8", _ROUNDED)

    def test_latency_is_relative_to_the_original(self, target: Target, tmp_path: Path) -> None:
        """A network is about as fast as itself; intervals hold the middle."""
        if not target.times:
            pytest.skip("it times nothing")

        network, images = example_network()
        example = images[:1]
        folded = fold(network.module)
        sessions = []
        for name in ("a", "b"):
            path = tmp_path / f"{name}{target.suffix}"
            artifact = target.build(folded, (example,), path)
            session = target.load(artifact)
            sessions.append(session)

        # wide, as machines that run tests are busy
        patience = Patience(tolerance=0.1, limit_s=2)
        candidate, original = sessions
        comparison = target.compare(candidate, original, patience)

        assert comparison.low <= comparison.relative <= comparison.high
        assert 0.5 < comparison.relative < 2
        assert comparison.candidate.samples >= 1

    def test_several_images_run_at_once(self, target: Target, tmp_path: Path) -> None:
        """Where it takes a batch it says so, is timed with it, and computes the same."""
        if target.needs or "batch" not in target.takes:
            pytest.skip("it runs one image at a time")

        made = type(target).from_options(TargetOptions(batch=3))
        assert made.batch == made.describe().batch == 3

        network, images = example_network()
        exact = fold(network.module)
        inputs = of_batch((images[:1],), made.batch)
        artifact = made.build(exact, inputs, tmp_path / f"a{made.suffix}")
        session = made.load(artifact)
        assert session.batch in (None, made.batch)
        if made.times:
            assert session.seconds() > 0

        # eight images, which are no multiple of three
        if made.runs:
            _require_same(session, exact, images, _EXACT)

    def test_unsupported_widths_are_refused(self, target: Target) -> None:
        """By name of layer and target."""
        network, _ = example_network()
        layer = network.layers[0]
        name = layer.name
        # no runtime has kernels for the first; what has any integers has not the second
        allowed = target.allowed(layer)
        weights, inputs = (5, 7) if (5, 7) not in allowed else (1, 1)
        policy = Policy(
            weight_bits={name: weights},
            activation_bits={name: inputs},
        )

        refused = f"{target.name} cannot run layer '{name}' at {weights}/{inputs} bits"
        with pytest.raises(PolicyError, match=refused):
            target.check(network, policy)


def _in_8_bits(target: Target, network: Network, images: Tensor) -> fx.GraphModule:
    """All layers that the target runs at 8 bits quantized to them."""
    supports = target.describe().supports
    layers = []
    for layer in network.layers:
        if (8, 8) in precisions(supports, layer):
            layers.append(layer.name)

    bits = dict.fromkeys(layers, 8)
    policy = Policy(weight_bits=bits, activation_bits=bits)

    # rounded as the runtime rounds, or the outputs would differ
    folded = fold(network.module)
    return quantize(folded, policy, (images,), target.scheme)


def _require_outputs(
    target: Target, network: fx.GraphModule, images: Tensor, path: Path, tolerance: float
) -> None:
    file = path.with_suffix(target.suffix)
    example = images[:1]
    artifact = target.build(network, (example,), file)

    # of all images at once, though the artifact is made for one
    _require_same(target.load(artifact), network, images, tolerance)


def _require_same(
    session: Session, network: fx.GraphModule, images: Tensor, tolerance: float
) -> None:
    with torch.no_grad():
        expected = network(images).numpy()
    (outputs,) = session.run([images.numpy()])

    # relative to the largest: single outputs may be near 0
    largest = np.abs(expected).max()
    farthest = np.abs(outputs - expected).max()
    assert farthest <= tolerance * largest
