"""The decisions of a search and what the budget leaves to each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sartor.budget import QUANTITIES, Bounded, Budget, Quantity
from sartor.cost import Cost, CostModel, HardwareCosts, LatencyPredictor, LayerSettings
from sartor.errors import TraceError, UsageError
from sartor.graph import Network
from sartor.machine import BoolArray, FloatArray, IntArray
from sartor.policy import Policy
from sartor.problem import _corners
from sartor.problem._decisions import Decision
from sartor.problem._limits import BudgetLimits, affordable, wastes_nothing
from sartor.problem._mapping import DecisionMap
from sartor.problem._space import SearchSpace

#: The quantity that tells all choices apart, where some decisions need one and some another.
_PRECEDENCE: tuple[Quantity, ...] = ("bops", "params", "macs")


class Problem:
    """All decisions in forward order, their joint cost, and the budget.

    ``latency`` predicts for bounds on it, ``hardware`` for those on what a device has; ``base``
    says what was decided before.
    Raises `BudgetError`, with the smallest reachable value, if the budget cannot be met. Latency is
    only predicted: a bound on it is refused if it is missed by more than predictions usually err.

    >>> from torch import nn, zeros
    >>> from sartor.graph import trace
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 1))
    >>> cost_model = CostModel(trace(model, zeros(1, 3, 4, 4)))
    >>> problem = Problem.of(cost_model, Budget.parse("macs<=50%"))
    >>> [(decision.name, decision.size) for decision in problem.decisions]
    [('0', 8)]
    >>> counts = problem.execute([1.0])
    >>> problem.policy(counts).channels
    {'0': 0.5}

    Attributes:
        cost_model: Counts what policies cost.
        decisions: In forward order.
        budget: What has to hold.
        latency: Predicts latency; None without a target.
        hardware: Knows what designs take of a device; None where the target has no such thing.
        original: What the original network costs.
        sizes: What the original has for each decision (decisions,).
        lowest: Smallest choice of each decision (decisions,).
        highest: Largest choice of each decision (decisions,).
        quantizes: Which decisions are about precision (decisions,); all others prune.
    """

    def __init__(
        self,
        cost_model: CostModel,
        decisions: Sequence[Decision],
        budget: Budget,
        *,
        latency: LatencyPredictor | None = None,
        hardware: HardwareCosts | None = None,
        base: Policy | None = None,
    ) -> None:
        self.cost_model = cost_model
        self.decisions = list(decisions)
        self.budget = budget
        self.latency = latency
        self.hardware = hardware
        self.original: Cost = cost_model.original

        sizes = [decision.size for decision in decisions]
        quantizes = [decision.quantizes for decision in decisions]
        self.sizes = np.array(sizes, dtype=np.int64)
        self.quantizes = np.array(quantizes, dtype=np.bool_)
        self.lowest, self.highest = _corners.ends(decisions)

        # The limits ask for totals while they are checked, and totals need the map.
        self._map = DecisionMap(cost_model, decisions, base or Policy())
        self._limits = BudgetLimits(
            budget,
            decisions,
            total=self.total,
            original=self.of_original,
        )
        doubt = 0.0 if latency is None else latency.error()
        self._limits.require_reachable(doubt)

    @classmethod
    def of(
        cls,
        cost_model: CostModel,
        budget: Budget,
        space: SearchSpace | None = None,
        *,
        latency: LatencyPredictor | None = None,
        hardware: HardwareCosts | None = None,
        base: Policy | None = None,
    ) -> Problem:
        """The problem with all decisions of a search space; no more is kept than ``base`` kept.

        Raises `TraceError` where there is nothing to decide, `BudgetError` as the class does.
        """
        space = space or SearchSpace()
        decisions = space.decisions(cost_model, base or Policy())
        if not decisions:
            why = _reasons(cost_model.network) or "it has no Conv or Linear layer"
            raise TraceError(f"the network has nothing to prune or quantize: {why}")

        return cls(
            cost_model,
            decisions,
            budget,
            latency=latency,
            hardware=hardware,
            base=base,
        )

    def __len__(self) -> int:
        return len(self.decisions)

    @property
    def cost_quantity(self) -> Quantity:
        """The quantity that tells all choices of all decisions apart."""
        needed = {decision.cost_quantity for decision in self.decisions}
        return next(quantity for quantity in _PRECEDENCE if quantity in needed)

    @property
    def kinds(self) -> list[BoolArray]:
        """Masks (decisions,) of the kinds of decisions: those of bits, those that prune."""
        return [mask for mask in (self.quantizes, ~self.quantizes) if mask.any()]

    def of_original(self, quantity: Bounded) -> float:
        """A quantity of the original network, of resources what the device has; a rate's is 1.

        Raises `UsageError` for latency without a target, and for what the target knows nothing of.
        """
        if quantity in QUANTITIES:
            return float(getattr(self.original, quantity))
        if quantity != "latency":
            return self._hardware_of(quantity).whole(quantity)
        if self.latency is None:
            raise UsageError(
                "a budget on latency needs a target; give for instance "
                "--target onnxruntime, or target='onnxruntime' in Python"
            )
        return self.latency.original_s

    def latency_ceiling(self, budget: Budget) -> float | None:
        """The bound on latency of any budget, relative to the original's; None without one."""
        # Asking for the original's latency without a target would be an error.
        if not budget.bounds_latency:
            return None
        original_s = self.of_original("latency")
        return budget.ceiling("latency", original_s)

    def total(self, quantity: Bounded, counts: IntArray) -> FloatArray:
        """One quantity (policies,) of counts (policies, decisions); predicted latency in s."""
        groups, settings = self._map.split(counts)
        if quantity == "latency":
            assert self.latency is not None
            return self.latency.seconds(groups, settings)
        if quantity in QUANTITIES:
            return self.cost_model.total(quantity, groups, settings)
        return self._hardware_of(quantity).total(quantity, groups, settings)

    def usage(self, counts: IntArray) -> FloatArray:
        """Largest share of any bound that each policy (policies, decisions) uses up.

        1 is just affordable; 0 without a budget.
        """
        return self._limits.usage(counts)

    def fits(self, counts: IntArray, share: float = 1.0) -> BoolArray:
        """Which policies (policies, decisions) use up no more than a share of the budget.

        All without a budget.
        """
        return affordable(self.usage(counts) / share)

    def cheapest(self) -> IntArray:
        """Counts (decisions,) that use up least of the budget, as latency is predicted now.

        Counted bounds hold if they can.
        """
        return self._limits.cheapest()

    def combine(self, *, widths: IntArray, bits: IntArray) -> IntArray:
        """Counts (decisions,): ``bits`` where a decision quantizes, ``widths`` where it prunes."""
        return _corners.combine(self.decisions, widths=widths, bits=bits)

    def corners(self, widths: Sequence[IntArray]) -> list[IntArray]:
        """Each of some ``widths`` with all bits at their coarsest, then each at their finest."""
        return _corners.corners(self.decisions, widths)

    def policy(self, counts: IntArray) -> Policy:
        """The policy of one row of counts."""
        return self._map.policy(counts)

    def split(self, counts: IntArray) -> tuple[IntArray, LayerSettings]:
        """What the counts of one policy do to groups (1, groups) and to layers (1, layers)."""
        return self._map.split(counts[None])

    def counts(self, ratios: Mapping[str, float]) -> IntArray:
        """Counts of ratios recorded by the names of the decisions."""
        nearest = [round(ratios[decision.name] * decision.size) for decision in self.decisions]
        return np.array(nearest, dtype=np.int64)

    def correct(self, counts: IntArray, relative_latency: float) -> None:
        """Tell the predictor what one policy took, relative to the original."""
        if self.latency is None:
            return
        groups, settings = self.split(counts)
        # Not the seconds that were measured: the machine may have been busier than it was when the
        # predictor's latency of the original was.
        seconds = relative_latency * self.latency.original_s
        self.latency.correct(groups, settings, seconds)
        self._limits.forget()

    def tighten(self, factor: float) -> None:
        """Aim lower than the budget on latency, because it was missed by ``factor`` > 1."""
        self._limits.tighten(factor)

    def execute(self, ratios: Sequence[float] | FloatArray) -> IntArray:
        """Counts (decisions,) that an episode executes when these ratios are proposed."""
        decided = np.empty(0, dtype=np.int64)
        for ratio in ratios:
            count = self.choose(decided, float(ratio))
            decided = np.append(decided, count)
        return decided

    def choose(self, decided: IntArray, ratio: float) -> int:
        """The count executed for a proposed ratio, after the counts ``decided`` so far.

        Only choices that still allow the budget to be met, if all later decisions are those that
        cost least, and that do not waste it, if all later decisions keep everything; of these the
        nearest. Where all waste it, the largest that fits; where none fits, the least excess.
        """
        decision = self.decisions[len(decided)]
        wanted = ratio * decision.size
        (place,) = decision.nearest(np.array([wanted]))
        if self._limits:
            place = self._affordable_place(decided, place)

        return int(decision.choices[place])

    def _affordable_place(self, decided: IntArray, wanted: int) -> int:
        """Place of the choice that is executed where the place ``wanted`` is the nearest."""
        frugal = self._completed(decided, self.cheapest())
        fits = self.fits(frugal)
        if not fits.any():
            excess = self._limits.excess(frugal)
            return int(excess.argmin())

        decision = self.decisions[len(decided)]
        lavish = self._completed(decided, self.highest)
        usage = self.usage(lavish)
        allowed = np.flatnonzero(fits & wastes_nothing(decision, usage))
        if not len(allowed):
            fitting = np.flatnonzero(fits)
            return int(fitting[-1])

        # Places, not counts: `argmin` takes the smaller of two equally near ones.
        distances = np.abs(allowed - wanted)
        nearest = distances.argmin()
        return int(allowed[nearest])

    def _hardware_of(self, quantity: Bounded) -> HardwareCosts:
        if self.hardware is None:
            raise UsageError(
                f"a budget on {quantity} needs a target that estimates it; give for instance "
                "--target fpga:pynq-z2, or target='fpga:pynq-z2' in Python"
            )
        return self.hardware

    def _completed(self, decided: IntArray, later: IntArray) -> IntArray:
        """Policies (choices, decisions), one for each choice of the decision that is next.

        What is ``decided`` comes before it; after it comes what ``later`` (decisions,) has there.
        """
        step = len(decided)
        decision = self.decisions[step]
        choices = decision.choices

        # All at once, because costs of many policies take hardly longer than those of one.
        rows = np.repeat(later[None], len(choices), axis=0)
        rows[:, :step] = decided
        rows[:, step] = choices
        return rows


def _reasons(network: Network) -> str:
    """Why groups of a network are kept whole."""
    reasons = {item.reason for item in network.kept_whole}
    return "; ".join(sorted(reasons))
