"""Functions with weights (``F.linear(x, self.weight)``) as calls of the modules that they are.

What follows channels, prunes and quantizes knows modules of torch. A function that is given
parameters becomes a call of one: of the very module that has them where it is of that kind, else
of a plain one, which takes its place and its name. Weights that are computed from parameters alone
have the values that they have in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor.graph._constants import fold_constants
from sartor.graph._einsum import einsum_as_products
from sartor.graph._gates import gates_written_out
from sartor.graph._kind import Call, Kind
from sartor.graph._layer_kinds import KINDS
from sartor.graph._norms_by_hand import norms_as_modules
from sartor.graph._operators import operator_name
from sartor.graph._reshapes import plain_reshapes
from sartor.graph._walk import Walk, needed

_ATTENTION = "scaled_dot_product_attention"
#: What a module is called whose weights have no module of their own.
_UNNAMED = "computed"


@torch.no_grad()
def onto_modules(model: nn.Module, graph: fx.Graph, inputs: Sequence[Tensor]) -> None:
    """Rewrite a graph of ``model``, which gets the modules that are missing."""
    rewriting = _Rewriting(model, graph, inputs)
    einsum_as_products(graph)
    gates_written_out(model, graph)
    plain_reshapes(graph, rewriting.value)
    fold_constants(model, graph, rewriting.value)
    norms_as_modules(graph, rewriting.value, rewriting.add)
    for node in list(graph.nodes):
        kind = None
        if node.op in ("call_function", "call_method"):
            kind = KINDS.get(operator_name(node))
        if kind is not None:
            rewriting.rewrite(node, kind)
        elif operator_name(node) == _ATTENTION:
            rewriting.write_out(node)

    # What modules have is not read by itself any more.
    for node in reversed(list(graph.nodes)):
        if not node.users and (node.op == "get_attr" or node in rewriting.replaced):
            graph.erase_node(node)


class _Rewriting:
    def __init__(self, model: nn.Module, graph: fx.Graph, inputs: Sequence[Tensor]) -> None:
        self._model = model
        self._graph = graph
        self._inputs = inputs
        self._walk: Walk | None = None
        self.replaced: set[fx.Node] = set()
        #: Modules that were made, by name.
        self._made: dict[str, nn.Module] = {}

    def rewrite(self, node: fx.Node, kind: Kind) -> None:
        """Make a call of a module of a function, if its weights do not depend on inputs."""
        call = kind.read(node)
        if call is None or not self._is_constant(call):
            return

        values = {name: self.value(source) for name, source in call.tensors.items()}
        if not kind.fits(call, values):
            return

        dims = self.value(call.entering).dim() if kind.needs_dims else 0
        module = kind.build(call, values, dims)
        if module is None:
            return

        name = self._place(node, call, kind, module)
        with self._graph.inserting_before(node):
            new = self._graph.call_module(name, (call.entering,))
        new.meta = dict(node.meta)
        kind.replace(node, new)
        self.replaced.add(node)

    def add(self, node: fx.Node, module: nn.Module) -> str:
        """Put a module where it stands for a node, and give its name."""
        *_, caller = ["", *_callers(node)]
        return self._beside(f"{caller}.{_UNNAMED}".removeprefix("."), module)

    def write_out(self, node: fx.Node) -> None:
        """Attention, with what it does by itself said in its arguments.

        By what it divides does not change where queries get narrower. Keys and values that several
        heads share are repeated, for exporters know no other way.
        """
        names = ("query", "key", "value")
        query, key, value = (
            node.args[place] if len(node.args) > place else node.kwargs[name]
            for place, name in enumerate(names)
        )
        assert isinstance(query, fx.Node)
        kwargs = dict(node.kwargs)
        shape = self.value(query).shape
        if kwargs.get("scale") is None:
            kwargs["scale"] = shape[-1] ** -0.5
        if kwargs.pop("enable_gqa", False):
            key = self._repeat(node, key, shape[-3])
            value = self._repeat(node, value, shape[-3])
        node.args = (query, key, value, *node.args[3:])
        node.kwargs = {name: given for name, given in kwargs.items() if name not in names}

    def _repeat(self, node: fx.Node, shared: Any, heads: int) -> fx.Node:
        """Each head that several queries share, once for each of them."""
        repeats = heads // self.value(shared).shape[-3]
        with self._graph.inserting_before(node):
            return self._graph.call_method("repeat_interleave", (shared, repeats, -3))

    def _is_constant(self, call: Call) -> bool:
        tensors = list(call.tensors.values())
        if self._reads_inputs(tensors):
            return False
        return self._reads_inputs([call.entering])

    def _reads_inputs(self, nodes: Sequence[fx.Node]) -> bool:
        return any(source.op == "placeholder" for source in needed(nodes))

    def value(self, node: fx.Node) -> Any:
        """What a node gives on the examples."""
        if self._walk is None:
            # Values are asked for here and there, so all of them are kept.
            self._walk = Walk(self._model, self._inputs, graph=self._graph, keep=True)
        return self._walk.value(node)

    def _place(self, node: fx.Node, call: Call, kind: Kind, module: nn.Module) -> str:
        """Name of a module that does what ``module`` does; it is put there if there is none."""
        name, is_its_own = self._name(node, call, kind)
        if is_its_own:
            existing = self._model.get_submodule(name)
            if _does_the_same(existing, module):
                return name
            if name not in self._made:
                self._take_over(name, existing, module)
                return name

        return self._beside(name, module)

    def _name(self, node: fx.Node, call: Call, kind: Kind) -> tuple[str, bool]:
        """Name of the module whose weights these are, and whether it can be replaced."""
        weight = call.tensors.get("weight")
        if kind.keeps_weights and weight is not None and weight.op == "get_attr":
            owner, _, leaf = str(weight.target).rpartition(".")
            owner = self._caller_with(node, weight) or owner
            if leaf == "weight" and owner and self._is_only_held(owner):
                return owner, True
            stem = leaf.removesuffix("_weight") if leaf != "weight" else _UNNAMED
            if stem == leaf:
                stem = f"{leaf}_layer"
            return f"{owner}.{stem}".removeprefix("."), False

        *_, caller = ["", *_callers(node)]
        return f"{caller}.{_UNNAMED}".removeprefix("."), False

    def _caller_with(self, node: fx.Node, weight: fx.Node) -> str:
        """The innermost module that called a function and has its weight, which others may share.

        Empty if there is none.
        """
        value = self.value(weight)
        for name in reversed(_callers(node)):
            module = self._model.get_submodule(name)
            if getattr(module, "weight", None) is value:
                return name
        return ""

    def _is_only_held(self, name: str) -> bool:
        """Whether a module is called by no node, or is one that was made here."""
        if name in self._made:
            return True
        module = self._model.get_submodule(name)
        is_plain = type(module).__module__.startswith("torch.nn.modules")
        calls = [node for node in self._graph.nodes if node.op == "call_module"]
        return is_plain or all(node.target != name for node in calls)

    def _take_over(self, name: str, existing: nn.Module, module: nn.Module) -> None:
        """Put a module in the place of another; what the graph still calls or reads of it stays."""
        self._move_children(name, existing)
        for node in self._graph.nodes:
            owner, _, leaf = str(node.target).rpartition(".")
            is_read = node.op == "get_attr" and owner == name
            if not is_read or hasattr(module, leaf):
                continue
            value = getattr(existing, leaf)
            if isinstance(value, nn.Parameter):
                module.register_parameter(leaf, value)
            elif isinstance(value, Tensor):
                module.register_buffer(leaf, value)

        self._model.set_submodule(name, module)
        self._made[name] = module

    def _move_children(self, name: str, existing: nn.Module) -> None:
        """Put what a module holds, such as an activation, beside it.

        A layer or norm that takes its place is exchanged for another later, and has no children.
        """
        owner, _, leaf = name.rpartition(".")
        for child, module in existing.named_children():
            place = f"{leaf}_{child}"
            while hasattr(self._model.get_submodule(owner), place):
                place += "_"
            self._model.get_submodule(owner).add_module(place, module)

            before = f"{name}.{child}"
            after = f"{owner}.{place}".removeprefix(".")
            for node in self._graph.nodes:
                if node.op in ("call_module", "get_attr") and _is_within(node, before):
                    node.target = after + str(node.target).removeprefix(before)

    def _beside(self, name: str, module: nn.Module) -> str:
        """Add a module under a name that is free, or find one there that does the same."""
        candidate = name
        number = 1
        while _has(self._model, candidate):
            made = self._made.get(candidate)
            if made is not None and _does_the_same(made, module):
                return candidate
            number += 1
            candidate = f"{name}_{number}"

        owner, _, leaf = candidate.rpartition(".")
        self._model.get_submodule(owner).add_module(leaf, module)
        self._made[candidate] = module
        return candidate


def _is_within(node: fx.Node, name: str) -> bool:
    """Whether a node calls or reads a module, or what it holds."""
    return f"{node.target}.".startswith(f"{name}.")


def _callers(node: fx.Node) -> list[str]:
    """Names of the modules whose forward passes a node stands in, from the outside in."""
    stack = node.meta.get("nn_module_stack") or {}
    names = [name for name, _ in stack.values()]
    return [name.removeprefix("L['self'].") for name in names if name and name != "L['self']"]


def _has(model: nn.Module, name: str) -> bool:
    owner: Any = model
    for part in name.split("."):
        if not hasattr(owner, part):
            return False
        owner = getattr(owner, part)
    return True


def _does_the_same(existing: nn.Module, module: nn.Module) -> bool:
    """Whether a module is of the same kind, with the same settings and tensors."""
    if type(existing) is not type(module):
        return False
    if existing.extra_repr() != module.extra_repr():
        return False
    parameters = module.named_parameters(recurse=False)
    return all(getattr(existing, name) is tensor for name, tensor in parameters)
