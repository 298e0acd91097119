"""What an agent learns of policies: in numbers that mean the same in every network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from sartor.agents._layer_features import kind_and_window
from sartor.errors import RunError
from sartor.machine import FloatArray, IntArray, digest, read_json, write_text
from sartor.problem import Problem

#: Of the file of an experience.
SCHEMA = 1

#: Errors below this share of the largest one are taken to be as large.
_LEAST_ERROR = 1e-6


@dataclass(frozen=True, eq=False)
class Decisions:
    """The decisions of a search, as numbers.

    Attributes:
        fixed: What does not depend on the policy (decisions, features): place, kind and window of
            the layer, whether it is about bits, how much of the budget it can save.
        choices: What each decision may be, in ascending order.
        errors: ``errors[d][i]`` is the error of decision d with its i-th choice.
        sizes: What the original has for each decision (decisions,).
    """

    fixed: FloatArray
    choices: Sequence[IntArray]
    errors: Sequence[FloatArray]
    sizes: IntArray

    @classmethod
    def of(cls, problem: Problem, errors: Sequence[FloatArray]) -> Decisions:
        """Those of a search, with the ``errors`` of their choices."""
        return cls(
            fixed=_fixed(problem),
            choices=[decision.choices for decision in problem.decisions],
            errors=_bounded(errors),
            sizes=problem.sizes,
        )

    def errors_of(self, counts: IntArray) -> FloatArray:
        """The error of every decision of policies (policies, decisions)."""
        columns = []
        for index, (choices, curve) in enumerate(zip(self.choices, self.errors, strict=True)):
            # What lies between two choices has the error of the larger one.
            places = np.searchsorted(choices, counts[:, index])
            columns.append(curve[places.clip(max=len(choices) - 1)])
        return np.stack(columns, axis=1)

    def features_of(self, counts: IntArray) -> FloatArray:
        """What is known of every decision of policies (policies, decisions, features).

        Beside what is fixed: its keep ratio and error, and the errors before and behind it, as
        logarithms; what is lost in one layer is lost for those behind it, too.
        """
        errors = self.errors_of(counts)
        before = np.cumsum(errors, axis=1) - errors
        behind = errors.sum(1, keepdims=True) - before - errors
        least = _LEAST_ERROR

        varying = [counts / self.sizes]
        for amount in (errors, before, behind):
            varying.append(np.log10(np.maximum(amount, least)) / -np.log10(least))
        shape = (len(counts), *self.fixed.shape)
        fixed = np.broadcast_to(self.fixed, shape)
        return np.concatenate([fixed, np.stack(varying, axis=2)], axis=2)


@dataclass(frozen=True, eq=False)
class Experience:
    """Policies that were scored in one search, of this network or of another.

    Attributes:
        decisions: What was decided on.
        counts: The policies (policies, decisions).
        rewards: What each was worth (policies,); only their order counts.
    """

    decisions: Decisions
    counts: IntArray
    rewards: FloatArray

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def digest(self) -> str:
        """Tells experiences apart."""
        return digest({}, self._content())

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_text(path, json.dumps({"schema": SCHEMA, **self._content()}) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `save` wrote. Raises `RunError` for anything else."""
        content = read_json(
            path,
            missing=f"{path} does not exist; it is written once a search has ended",
            error=RunError,
        )
        if content.get("schema") != SCHEMA:
            raise RunError(f"{path} is not an experience of schema {SCHEMA}")
        try:
            return cls._of(content)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{path} is not an experience: {error!r}") from error

    @classmethod
    def _of(cls, content: Mapping[str, Any]) -> Self:
        decisions = Decisions(
            fixed=np.array(content["fixed"], dtype=np.float64),
            choices=[np.array(row, dtype=np.int64) for row in content["choices"]],
            errors=[np.array(row, dtype=np.float64) for row in content["errors"]],
            sizes=np.array(content["sizes"], dtype=np.int64),
        )
        counts = np.array(content["counts"], dtype=np.int64)
        rewards = np.array(content["rewards"], dtype=np.float64)
        if counts.shape != (len(rewards), len(decisions.sizes)):
            raise ValueError(f"{counts.shape} counts for {len(rewards)} rewards")
        return cls(decisions, counts, rewards)

    def _content(self) -> dict[str, Any]:
        decisions = self.decisions
        return {
            "fixed": decisions.fixed.tolist(),
            "choices": [row.tolist() for row in decisions.choices],
            "errors": [row.tolist() for row in decisions.errors],
            "sizes": decisions.sizes.tolist(),
            "counts": self.counts.tolist(),
            "rewards": self.rewards.tolist(),
        }


def _fixed(problem: Problem) -> FloatArray:
    """What does not depend on the policy (decisions, features), each about 0 to 1."""
    savings = _savings(problem)
    rows = []
    last = max(1, len(problem) - 1)
    for index, decision in enumerate(problem.decisions):
        depthwise, linear, kernel, stride = kind_and_window(decision.layer)
        rows.append(
            [
                index / last,
                depthwise,
                linear,
                np.log2(max(kernel, 1)) / 3,
                np.log2(max(stride, 1)) / 2,
                float(decision.quantizes),
                savings[index],
            ]
        )
    return np.array(rows)


def _savings(problem: Problem) -> FloatArray:
    """How much of the original's cost each decision can save alone (decisions,).

    Of the quantity that is bounded, or that tells the choices apart where none is.
    """
    rows = np.repeat(problem.highest[None], len(problem) + 1, axis=0)
    np.fill_diagonal(rows, problem.lowest)
    if problem.budget.bounds:
        costs = problem.usage(rows)
    else:
        costs = problem.total(problem.cost_quantity, rows)
    return (costs[-1] - costs[:-1]) / max(costs[-1], 1e-12)


def _bounded(errors: Sequence[FloatArray]) -> list[FloatArray]:
    """Errors as shares of the largest finite one: what they mean is the same everywhere."""
    finite = [curve[np.isfinite(curve)] for curve in errors]
    largest = max(*(curve.max(initial=0.0) for curve in finite), 1e-12)
    return [np.minimum(curve / largest, 1.0) for curve in errors]
