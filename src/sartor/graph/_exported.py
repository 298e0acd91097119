"""Tracing by `torch.export`, where `torch.fx` cannot follow a forward pass.

The program that it gives names operators of the dispatcher, and parameters instead of modules.
Both are brought back: operators become functions of torch (`_dispatched`), and the parameters are
attributes of the network again, so that everything behind sees one kind of graph.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.export import Dim, ExportedProgram, ShapesCollection
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from sartor.graph._dispatched import as_in_torch, is_check
from sartor.graph._examples import Examples
from sartor.graph._questions import Questions

#: Examples are repeated so often: torch.export takes a size of 1 for a constant.
_BATCH = 2
#: Loggers that are told of what is raised anyway.
_TALKATIVE = ("torch.export", "torch._export", "torch.fx.experimental.symbolic_shapes")


def exported(model: nn.Module, examples: Examples, *, functional: bool, any_size: bool) -> fx.Graph:
    """The graph of what a model does with examples.

    If ``any_size``, for any height and width of images, and any length of texts, where the forward
    pass does not take these as fixed numbers.

    What changes parts of tensors in place is written as what gives new ones; all that changes
    tensors is, if ``functional``.
    Raises `SizeError` if the forward pass asks for the value of a tensor, and whatever torch.export
    does where it fails.
    """
    with _quietly():
        program = _program(model, examples, any_size=any_size)
        if functional or any(map(_changes_a_part, program.graph.nodes)):
            # No operator is taken apart but those that change what they are given.
            program = program.run_decompositions({})
    return _Translation(model, program).graph()


def _program(model: nn.Module, examples: Examples, *, any_size: bool) -> ExportedProgram:
    repeated = [torch.cat([item] * _BATCH) for item in examples.tensors]
    open_batch: Any = ShapesCollection()
    for item in repeated:
        sizes = _sizes(item) if any_size else ()
        open_batch[item] = dict.fromkeys((0, *sizes), Dim.AUTO)

    questions = Questions()
    try:
        with torch.no_grad(), plain_attention(), questions:
            program = torch.export.export(
                model,
                examples.positional(repeated),
                examples.by_name(repeated),
                dynamic_shapes=open_batch,
                strict=False,
            )
    finally:
        # The forward pass may have caught it, and gone on as if nothing was.
        if questions.refusal is not None:
            raise questions.refusal
    return program


def _sizes(item: Tensor) -> range:
    """Axes of positions: behind the channels; in texts, whose words are whole numbers, the next."""
    return range(2 if item.is_floating_point() else 1, item.dim())


@contextmanager
def plain_attention() -> Iterator[None]:
    """`torch.nn.MultiheadAttention` as the operators that it consists of."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _quietly() -> Iterator[None]:
    """What torch.export raises says enough: it also prints what it had until then."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, was in zip(loggers, before, strict=True):
            logger.disabled = was


def _changes_a_part(node: fx.Node) -> bool:
    """Whether a node of a program changes in place what is a view of another tensor."""
    if not isinstance(node.target, OpOverload) or not node.target._schema.is_mutable:
        return False
    changed = node.args[0] if node.args else None
    if not isinstance(changed, fx.Node) or not isinstance(changed.target, OpOverload):
        return False
    return changed.target.is_view


class _Translation:
    """From a program to a graph that has a model for its root."""

    def __init__(self, model: nn.Module, program: ExportedProgram) -> None:
        self._model = model
        self._program = program
        self._graph = fx.Graph()
        self._new: dict[fx.Node, fx.Node] = {}

    def graph(self) -> fx.Graph:
        """The graph; tensors that the forward pass made are buffers of the model from then on."""
        for node in self._program.graph.nodes:
            if node.op == "placeholder":
                self._new[node] = self._placed(node)
            elif node.op == "call_function" and not is_check(node):
                self._new[node] = self._called(node)
            elif node.op == "output":
                self._graph.output(self._output(node))

        # Placeholders stand for parameters there, where somebody reads them or not.
        self._graph.eliminate_dead_code()
        self._graph.lint()
        return self._graph

    def _placed(self, node: fx.Node) -> fx.Node:
        kinds = {spec.arg.name: spec for spec in self._program.graph_signature.input_specs}
        spec = kinds[node.name]
        if spec.kind is InputKind.USER_INPUT:
            return self._graph.placeholder(node.name)

        assert spec.target is not None
        name = spec.target
        if spec.kind is InputKind.CONSTANT_TENSOR:
            name = self._keep_constant(spec.target)
        with _no_warnings():
            return self._graph.get_attr(name)

    def _keep_constant(self, target: str) -> str:
        """Give the model a tensor that its forward pass makes anew each time."""
        owner = self._model
        *path, leaf = target.split(".")
        for part in path:
            owner = getattr(owner, part)

        held = getattr(owner, leaf, None)
        if not isinstance(held, Tensor):
            value = self._program.constants[target]
            owner.register_buffer(leaf, value, persistent=False)
        return target

    def _called(self, node: fx.Node) -> fx.Node:
        new = as_in_torch(self._graph, node, self._new)
        new.meta = {
            key: node.meta[key] for key in ("nn_module_stack", "stack_trace") if key in node.meta
        }
        return new

    def _output(self, node: fx.Node) -> Any:
        """What the network gives, nested as its own forward pass does."""
        (flat,) = node.args
        assert isinstance(flat, (tuple, list))
        items = [self._new[item] if isinstance(item, fx.Node) else item for item in flat]

        signature = self._program.module_call_graph[0].signature
        assert signature is not None
        nested = pytree.tree_unflatten(items, signature.out_spec)
        return self._plain(nested)

    def _plain(self, output: Any) -> Any:
        """Dataclasses are built when the network runs, for graphs hold none."""
        if dataclasses.is_dataclass(output) and not isinstance(output, type):
            fields = {
                item.name: self._plain(getattr(output, item.name))
                for item in dataclasses.fields(output)
            }
            given = {name: value for name, value in fields.items() if value is not None}
            return self._graph.call_function(type(output), kwargs=given)
        if isinstance(output, Mapping):
            return {key: self._plain(value) for key, value in output.items()}
        if isinstance(output, tuple):
            return tuple(map(self._plain, output))
        if isinstance(output, list):
            return list(map(self._plain, output))
        return output


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Of torch, which looks for attributes on a graph that has no network yet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
