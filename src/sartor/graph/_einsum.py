"""Sums after Einstein's convention as the matrix products that they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from sartor.graph._operators import operator_name


@dataclass(frozen=True)
class _Roles:
    """Axes of ``einsum("…,…->…")`` of two tensors, by their letters.

    Attributes:
        batch: What both tensors and the result have.
        summed: What both have, and the result has not.
        left: What the first and the result have.
        right: What the second and the result have.
    """

    batch: str
    summed: str
    left: str
    right: str


def einsum_as_products(graph: fx.Graph) -> None:
    """Rewrite sums of two tensors over one axis, with one axis left of each, as ``a @ b``."""
    for node in list(graph.nodes):
        if node.op != "call_function" or operator_name(node) != "einsum" or node.kwargs:
            continue
        equation, operands = _arguments(node)
        if equation is None or len(operands) != 2:
            continue

        terms, _, result = equation.replace(" ", "").partition("->")
        first, _, second = terms.partition(",")
        roles = _roles(first, second, result)
        if roles is None:
            continue

        left = roles.batch + roles.left + roles.summed
        right = roles.batch + roles.summed + roles.right
        given = roles.batch + roles.left + roles.right
        with graph.inserting_before(node):
            a = _permuted(graph, operands[0], first, left)
            b = _permuted(graph, operands[1], second, right)
            product = graph.call_function(torch.matmul, (a, b))
            node.replace_all_uses_with(_permuted(graph, product, given, result))


def _arguments(node: fx.Node) -> tuple[str | None, list[Any]]:
    args: Any = node.args
    equation, *operands = args
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = list(operands[0])
    return (equation if isinstance(equation, str) else None), operands


def _roles(first: str, second: str, result: str) -> _Roles | None:
    """None where a letter is repeated, or a role is not that of one axis."""
    if not all(term.isalpha() and len(set(term)) == len(term) for term in (first, second, result)):
        return None

    both = [letter for letter in first if letter in second]
    roles = _Roles(
        batch="".join(letter for letter in both if letter in result),
        summed="".join(letter for letter in both if letter not in result),
        left="".join(letter for letter in first if letter not in second),
        right="".join(letter for letter in second if letter not in first),
    )
    of_one = len(roles.summed) == len(roles.left) == len(roles.right) == 1
    in_result = set(roles.left + roles.right) <= set(result)
    return roles if roles.batch and of_one and in_result else None


def _permuted(graph: fx.Graph, node: Any, before: str, after: str) -> fx.Node:
    if before == after:
        assert isinstance(node, fx.Node)
        return node
    order = [before.index(letter) for letter in after]
    return graph.call_method("permute", (node, order))
