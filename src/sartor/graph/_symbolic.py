"""The graph of what a forward pass runs, proved to give what the network gives."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor.errors import TraceError
from sartor.graph._inplace import without_in_place
from sartor.graph._outputs import differ, tensors_in
from sartor.graph._prepare import traceable_copy
from sartor.graph._tracer import SizeTracer, place_of

#: Largest difference between a network and its trace, relative to the largest output.
_TOLERANCE = 1e-4


def symbolic(model: nn.Module, inputs: Sequence[Tensor]) -> fx.GraphModule:
    """The graph of what runs, without in-place operators; held against the network it is of."""
    name = type(model).__name__
    duplicate = traceable_copy(model)
    # Before the graph is made, which takes what does not run out of the copy.
    proofs, expected = _proofs(duplicate, inputs)
    graph = _graph(duplicate, inputs)
    module = _ordinary(duplicate, graph)

    try:
        actual = _run(module, proofs)
        different = differ(actual, expected, _TOLERANCE)
    except Exception as error:
        raise TraceError(
            f"{name} cannot be traced: its trace fails where the network does not, "
            f"on inputs of shape {_shapes(proofs)}: {_in_words(error)}"
        ) from error

    if different:
        raise TraceError(
            f"{name} cannot be traced: its trace computes something else than the network; "
            "an in-place operator on a part of a tensor is a usual cause"
        )
    return module


def _graph(model: nn.Module, inputs: Sequence[Tensor]) -> fx.Graph:
    """Operators in the order in which the forward pass calls them."""
    tracer = SizeTracer(inputs)
    defaults = _defaults(model, len(inputs))
    problem: Exception | None = None
    try:
        graph = tracer.trace(model, concrete_args=defaults)
    except Exception as error:  # fx raises many kinds, and so may somebody's forward pass
        problem = error

    # A refusal first: the forward pass may have caught it, and failed of something else.
    start = f"{type(model).__name__} cannot be traced: "
    if tracer.refusal is not None:
        raise TraceError(f"{start}{tracer.refusal}") from tracer.refusal
    if problem is not None:
        what = _in_words(problem)
        where = place_of(problem)
        raise TraceError(start + what + where) from problem
    return graph


def _ordinary(model: nn.Module, graph: fx.Graph) -> fx.GraphModule:
    """A network of a graph, without operators that change their inputs or are of no use."""
    without_in_place(model, graph)
    for node in graph.nodes:
        # Fails on channels-last tensors; reshape is the same otherwise.
        if node.op == "call_method" and node.target == "view":
            node.target = "reshape"

    module = fx.GraphModule(model, graph)

    # What does not run, such as a head for training, is neither counted nor decided on.
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    return module


def _defaults(model: nn.Module, given: int) -> dict[str, Any] | None:
    """Parameters of the forward pass beyond the ``given`` ones, with their defaults."""
    signature = inspect.signature(model.forward)
    parameters = list(signature.parameters.values())

    defaults = {}
    for parameter in parameters[given:]:
        default = parameter.default
        if default is not parameter.empty:
            defaults[parameter.name] = default
    return defaults or None


def _proofs(model: nn.Module, inputs: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], Any]:
    """Inputs on which a trace must give what the network gives, and what that is.

    The example and random numbers beside it, in a batch of two; the example alone where the
    network takes only that.
    """
    generator = torch.Generator().manual_seed(0)
    beside = tuple(torch.cat([item, _random_like(item, generator)]) for item in inputs)

    # NaN on the random numbers proves nothing, and says nothing against the network.
    try:
        expected = _run(model, beside)
    except Exception:
        expected = None
    if expected is not None and _finite(expected):
        return beside, expected

    alone = tuple(inputs)
    try:
        expected = _run(model, alone)
    except Exception as error:
        raise failed(model, inputs, error) from error

    if not _finite(expected):
        raise TraceError(
            f"{type(model).__name__} cannot be traced: it gives NaN or infinity on the example "
            f"inputs of shape {_shapes(inputs)}"
        )
    return alone, expected


def _random_like(example: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers of the range of an example; whole numbers of it in another order."""
    if not example.is_floating_point():
        order = torch.randperm(example.numel(), generator=generator)
        shuffled = example.flatten()[order]
        return shuffled.view_as(example)

    low = float(example.min())
    high = float(example.max())
    drawn = torch.empty_like(example)
    if low == high:
        return drawn.normal_(generator=generator)
    return drawn.uniform_(low, high, generator=generator)


def _finite(output: Any) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors_in(output))


@torch.no_grad()
def _run(module: nn.Module, inputs: Sequence[Tensor]) -> Any:
    """Outputs; what is drawn in a forward pass is drawn alike each time."""
    # Not `torch.manual_seed`, which would seed GPUs that nobody puts back.
    torch.default_generator.manual_seed(0)
    # The forward pass may change what it is given.
    copies = [item.clone() for item in inputs]
    return module(*copies)


def _shapes(inputs: Sequence[Tensor]) -> str:
    shapes = [tuple(item.shape) for item in inputs]
    return ", ".join(map(str, shapes))


def _in_words(error: Exception) -> str:
    """First line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def failed(model: nn.Module, inputs: Sequence[Tensor], error: Exception) -> TraceError:
    """The user's own forward pass may raise anything."""
    return TraceError(
        f"{type(model).__name__} cannot be traced: its forward pass fails on inputs of shape "
        f"{_shapes(inputs)}: {_in_words(error)}{place_of(error)}"
    )
