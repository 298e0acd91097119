"""Designs for FPGAs, estimated without the vendor's tools."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import Tensor, fx

from sartor.budget import RESOURCES, Budget
from sartor.compression import DATAFLOW, DATAFLOW_EXACT, Scheme, input_bits, layer_calls
from sartor.cost import CostModel
from sartor.errors import BudgetError, RunError, UsageError
from sartor.graph import LayerSpec
from sartor.machine import Float32Array, read_json, write_text
from sartor.policy import FULL_WIDTH
from sartor.targets._base import Description, Support, Target
from sartor.targets._design import Design
from sartor.targets._options import TargetOptions
from sartor.targets.fpga._choices import Choices
from sartor.targets.fpga._costs import FpgaCosts
from sartor.targets.fpga._dataflow import Dataflow
from sartor.targets.fpga._design import describe_design
from sartor.targets.fpga._device import FpgaDevice
from sartor.targets.fpga._engines import COARSEST, FINEST
from sartor.targets.fpga._estimator import Aim, Estimator

#: What of a device a design may take where no budget says it (FINN's ceilings).
_SHARES = {"lut": 0.7, "bram": 0.8, "dsp": 0.8}
#: Bits that are searched, and by how many of these steps activations may be finer than weights.
_WIDTHS = (2, 3, 4, 6, 8)
_FINER = 2
#: Channels that fold well are multiples of it; primes do not fold at all.
_FOLDS = 8


class FpgaTarget(Target):
    """One engine a layer on an FPGA, as FINN builds it; everything is estimated.

    Named ``fpga:DEVICE``, such as ``fpga:pynq-z2``, or ``fpga:my.toml`` for a file of resources;
    ``,clock=125MHz``, ``,multipliers=lut`` (or dsp, auto), ``,scales=free`` and ``,fps=1000`` may
    follow. Designs are folded for the rate of the budget or of the name; without one each is the
    fastest that fits. What is not quantized has 8 bits: there are no floats.

    >>> from sartor.targets import make
    >>> make("fpga:pynq-z2").describe().measured
    False
    """

    name = "fpga"
    suffix = ".fpga.json"
    summary = "estimated designs"
    needs = "a device, as fpga:pynq-z2"
    takes = ("place",)
    runs = False
    profiles = True

    def __init__(self, choices: Choices, budget: Budget | None = None, *, threads: int = 1) -> None:
        super().__init__(threads)
        self.choices = choices
        self.budget = budget or Budget(())

    @classmethod
    def from_options(cls, options: TargetOptions) -> Self:
        """On the device, and with the choices, that follow ``fpga:``."""
        if not options.place:
            raise UsageError(
                "the target fpga needs a device, such as fpga:pynq-z2, or fpga:my.toml for a file "
                "of resources"
            )
        return cls(Choices.parse(options.place), threads=options.threads)

    def within(self, budget: Budget) -> Self:
        """The same device, its designs folded for the rate and the resources of a budget.

        Raises `BudgetError` where the smallest design is sought and no rate says what it must do:
        each design takes what it may then.
        """
        bounded = [bound.quantity for bound in budget.bounds if not bound.is_floor]
        seeks_smallest = budget.goal is not None and bounded and bounded[0] in RESOURCES
        if seeks_smallest and budget.floor("fps") is None and self.choices.fps is None:
            raise BudgetError(
                f"budget {str(budget)!r} seeks the smallest design and asks for no rate, without "
                "which each takes what it may; add one, such as fps>=1000"
            )
        aimed = copy.copy(self)
        aimed.budget = budget
        return aimed

    @property
    def device(self) -> FpgaDevice:
        """The FPGA."""
        return self.choices.device

    @property
    def scheme(self) -> Scheme:
        """Symmetric weights, activations without zero points, sums of equal scales."""
        return DATAFLOW_EXACT if self.choices.powers_of_two else DATAFLOW

    def describe(self) -> Description:
        """2 to 8 bits of weights and of activations, for every kind of layer."""
        pairs = []
        for weights in range(COARSEST, FINEST + 1):
            for activations in range(COARSEST, FINEST + 1):
                pairs.append((weights, activations))
        device = self.device
        return Description(
            target=self.name,
            device=f"{device.part} at {device.clock_mhz:g} MHz (assumed)",
            runtime="estimate after FINN",
            threads=self.threads,
            supports=Support.for_all_layers(pairs),
            measured=False,
            channel_multiple=_FOLDS,
            dtypes=(),
        )

    def precisions(self, layer: LayerSpec) -> tuple[tuple[int, int], ...]:
        """Activations as fine as the weights, or one or two steps finer.

        Few of those that are allowed, since each is tried in every layer before a search.
        """
        pairs = []
        for place, weights in enumerate(_WIDTHS):
            for activations in _WIDTHS[place : place + _FINER + 1]:
                pairs.append((weights, activations))
        return tuple(pairs)

    def allowed(self, layer: LayerSpec) -> tuple[tuple[int, int], ...]:
        """All pairs of 2 to 8 bits."""
        return super().precisions(layer)

    def costs(self, cost_model: CostModel) -> FpgaCosts:
        """Designs of all policies of a network."""
        network = cost_model.network
        dataflow = Dataflow.of(network.module, network.layers)
        return FpgaCosts(cost_model, self._estimator(dataflow))

    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """A JSON file of the design: engines, their folding, and what all of it takes."""
        found = self.design(network, inputs)
        content = {"estimated": True, **dataclasses.asdict(found)}
        write_text(path, json.dumps(content, indent=1) + "\n")
        return path

    def design(self, network: fx.GraphModule, inputs: Sequence[Tensor]) -> Design:
        """The design of a network. Raises `UsageError` for what no engine computes."""
        read = input_bits(network)
        layers: dict[str, LayerSpec] = {}
        rows = []
        for call in layer_calls(network, inputs):
            # One engine computes all calls of a layer.
            if call.name in layers:
                continue
            layer = LayerSpec.of(
                call.name, call.layer, tuple(call.input.shape), [tuple(call.output.shape)]
            )
            layers[call.name] = layer
            # Layers that are not quantized have no such attribute.
            weights = int(getattr(call.layer, "weight_bits", FULL_WIDTH))
            activations = read.get(call.name, FULL_WIDTH)
            rows.append((layer.in_channels, layer.out_channels, weights, activations))

        dataflow = Dataflow.of(network, list(layers.values()))
        estimator = self._estimator(dataflow)
        table = np.array(rows, dtype=np.int64)
        inputs_of, outputs_of, weight_bits, activation_bits = table.T[:, None]
        estimates = estimator.estimate(inputs_of, outputs_of, weight_bits, activation_bits)
        return describe_design(estimator, estimates, list(layers), table)

    def load(self, artifact: Path, *, threads: int | None = None) -> FpgaSession:
        """The latency of a design."""
        content = _read(artifact)
        return FpgaSession(float(content["estimates"]["latency"]["value"]))

    def profile(self, artifact: Path) -> dict[str, float]:
        """Seconds of one image in each engine."""
        content = _read(artifact)
        clock = 1e6 * float(content["clock_mhz"])
        return {engine["name"]: engine["cycles"] / clock for engine in content["engines"]}

    def _estimator(self, dataflow: Dataflow) -> Estimator:
        fps = self.budget.floor("fps") or self.choices.fps
        ceilings: dict[str, float] = {}
        for quantity in RESOURCES:
            whole = float(getattr(self.device, quantity))
            share = self.budget.ceiling(quantity, whole) if whole else 0.0
            ceilings[quantity] = whole * (_SHARES[quantity] if share is None else share)
        return Estimator(dataflow, self.device, Aim(fps, ceilings), self.choices.multipliers)


class FpgaSession:
    """A design's latency."""

    batch: int | None = None

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """Estimates give no outputs."""
        raise UsageError("the target fpga estimates designs only; it gives no outputs")

    def seconds(self) -> float:
        """Always the same."""
        return self._seconds


def _read(artifact: Path) -> Mapping[str, Any]:
    return read_json(artifact, missing=f"there is no design {artifact}", error=RunError)
