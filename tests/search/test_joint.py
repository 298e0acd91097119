"""Channels and bits searched together, on a target whose latency is known exactly."""

import dataclasses
import json

import numpy as np
import pytest
import torch

import sartor
from listening import to_episodes
from sartor import demo
from sartor.agents import AGENTS, RULES, SearchContext, Trajectory
from sartor.agents._lineage import Lineage
from sartor.agents._mutants import Breeder
from sartor.budget import Budget
from sartor.compression import CompressOptions, Compressor, fold, quantize
from sartor.cost import CostModel, LayerSettings
from sartor.errors import BudgetError, DataError, PolicyError, RunError, UsageError
from sartor.graph import trace
from sartor.policy import Policy
from sartor.problem import Problem, SearchSpace
from sartor.scoring import Outcome
from sartor.scoring.rewards import REWARDS
from sartor.targets import SURE, Deployment, LatencyTable, Patience, _deployment
from sartor.testing import FakeTarget

QUICK = sartor.SearchOptions(
    episodes=10,
    finalists=2,
    methods=("prune", "quantize"),
    compress=CompressOptions(images=16, final_images=32),
)


@pytest.fixture(scope="module")
def cost_model(model, data):
    return CostModel(trace(model, data.calibration.normalized()[:1]))


def pairs(cost_model, target):
    return {
        layer.name: sartor.targets.precisions(target.describe().supports, layer)
        for layer in cost_model.network.layers
    }


class DriftingTarget(FakeTarget):
    """One whose machine is up to three times as slow at one time as at another."""

    def __init__(self):
        super().__init__()
        self._rng = np.random.default_rng(0)
        self.slowness = 1.0

    def describe(self):
        return dataclasses.replace(super().describe(), measured=True)

    def build(self, network, inputs, path):
        self.slowness = self._rng.uniform(1, 3)
        return super().build(network, inputs, path)

    def load(self, artifact, *, threads=None):
        session = super().load(artifact)
        seconds = session.seconds()
        session.seconds = lambda: self.slowness * seconds
        return session


def test_layers_without_a_rounded_form_keep_their_precision():
    class Volume(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.conv(x).relu().mean((2, 3, 4)))

    pixels = torch.randn(40, 1, 4, 4, 4)
    images = sartor.Images(pixels, torch.arange(40) % 3)
    result = sartor.compress(
        Volume().eval(),
        sartor.Data(images, images, images),
        budget="",
        target=FakeTarget(),
        options=dataclasses.replace(
            QUICK, methods=("quantize",), baselines=(), seed_with=(), episodes=3, anyway=True
        ),
    )
    assert set(result.report["policy"]["weight_bits"]) <= {"head"}


def latency_table(cost_model, folder, path=None):
    target = FakeTarget()
    return LatencyTable.measure(
        cost_model,
        Deployment.build(target, cost_model.network, folder),
        pairs(cost_model, target),
        path,
    )


def joint(cost_model, tmp_path, budget="", **options):
    precisions, latency = pairs(cost_model, FakeTarget()), latency_table(cost_model, tmp_path)
    space = SearchSpace(methods=("prune", "quantize"), precisions=precisions, **options)
    return Problem.of(cost_model, Budget.parse(budget), space, latency=latency)


def play(agent, problem, reward_of):
    """The counts executed in one episode of an agent, rewarded for the ratios that it kept."""
    agent.begin()
    counts = problem.execute(
        np.array([agent.act(np.zeros(11, np.float32), step) for step in range(len(problem))])
    )
    kept = counts / problem.sizes
    agent.learn(
        Trajectory(np.zeros((len(problem) + 1, 11), np.float32), kept, reward_of(kept)), own=True
    )
    return counts


def test_evolution_is_shown_what_bits_alone_reach_however_wrong_the_errors_are(
    cost_model, tmp_path
):
    """Pruning seems to cost next to nothing here.

    It does so where errors were estimated from few images.
    """
    problem = joint(cost_model, tmp_path, "latency<=50%")
    errors = [
        (1.0 if d.quantizes else 1e-9) * np.linspace(1, 0, len(d.choices)) ** 2
        for d in problem.decisions
    ]
    setting = SearchContext(problem, 11, 40, errors, seed=0)
    channels = ~problem.quantizes
    whole = problem.highest[channels]
    assert (problem.execute(RULES.get("knapsack")(setting))[channels] < whole).any()
    agent, executed = AGENTS.get("evolution")(setting), []
    for _ in range(3):
        executed.append(play(agent, problem, lambda kept: -1.0))
    (rounded,) = [counts for counts in executed if (counts[channels] == whole).all()]
    assert problem.usage(rounded[None])[0] <= 1
    assert (rounded[~channels] < problem.highest[~channels]).any()


def joint_setting(cost_model, tmp_path):
    problem = joint(cost_model, tmp_path, "latency<=50%")
    errors = [np.linspace(1, 0, len(d.choices)) for d in problem.decisions]
    return SearchContext(problem, 11, 60, errors, seed=0)


def test_evolution_also_breeds_mutants_of_one_kind(cost_model, tmp_path):
    """Scaled as a whole, a policy whose bits moved would pay with the channels of all layers."""
    setting = joint_setting(cost_model, tmp_path)
    problem = setting.problem
    breeder = Breeder(problem, np.random.default_rng(0), np.ones(len(problem), dtype=bool))
    assert np.array_equal(problem.kinds, [problem.quantizes, ~problem.quantizes])
    for line, moved in zip(Lineage.of_kinds(setting), problem.kinds, strict=True):
        mutants = breeder.distinct(breeder.breed(line.start[None], 300))
        assert (problem.usage(mutants) <= 1).all()
        others_whole = (mutants[:, ~moved] == problem.highest[~moved]).all(1)
        assert others_whole.sum() > 5


@pytest.mark.parametrize("quantizes", [True, False])
def test_a_kind_that_is_best_alone_keeps_half_of_the_search_and_the_other_is_given_up(
    quantizes, cost_model, tmp_path
):
    """Whoever searches both kinds also searches what one of them can do without the other."""
    setting = joint_setting(cost_model, tmp_path)
    problem, agent = setting.problem, AGENTS.get("evolution")(setting)
    mine = problem.quantizes == quantizes
    alone = []
    for _ in range(60):
        counts = play(
            agent,
            problem,
            lambda kept: float(kept[mine].mean()) - 10 * float((1 - kept)[~mine].sum()),
        )
        assert problem.usage(counts[None])[0] <= 1 + 1e-9
        whole = counts == problem.highest
        alone.append((whole[~mine].all(), whole[mine].all()))
    late = alone[-20:]
    assert sum(only_mine for only_mine, _ in late) >= 10
    assert not any(only_others and not only_mine for only_mine, only_others in late)


def test_a_kind_that_is_worse_alone_is_given_up(cost_model, tmp_path):
    setting = joint_setting(cost_model, tmp_path)
    problem, agent = setting.problem, AGENTS.get("evolution")(setting)
    executed = []
    for _ in range(60):
        executed.append(play(agent, problem, lambda kept: -float(np.square(kept - 0.6).sum())))
    for kind in problem.kinds:
        whole = [bool((counts == problem.highest)[kind].all()) for counts in executed]
        assert sum(whole) >= 8
        assert not any(whole[-20:])


def measured(target, compressor, policy, folder):
    candidate = compressor.candidate(policy)
    ready = candidate if policy.quantized else fold(candidate)
    inputs = compressor.network.example_inputs
    artifact = target.build(ready, inputs, folder / "candidate.json")
    original = target.build(fold(compressor.network.module), inputs, folder / "original.json")
    return target.compare(
        target.load(artifact), target.load(original), Patience(limit_s=0.1)
    ).relative


def test_predicted_latency_is_the_measured_one_where_layers_add_up(cost_model, data, tmp_path):
    compressor = Compressor(
        cost_model.network, data.calibration.normalized(), CompressOptions(images=16)
    )
    problem = joint(cost_model, tmp_path)
    rng = np.random.default_rng(0)
    for _ in range(10):
        counts = problem.execute(rng.uniform(size=len(problem)))
        predicted = float(problem.total("latency", counts[None])[0]) / problem.of_original(
            "latency"
        )
        assert predicted == pytest.approx(
            measured(FakeTarget(), compressor, problem.policy(counts), tmp_path), rel=0.02
        )


def test_a_machine_that_drifts_does_not_spoil_the_prediction(cost_model, tmp_path, monkeypatch):
    monkeypatch.setattr(
        _deployment, "_QUICK", Patience(limit_s=0.05)
    )  # it is hardly ever as fast as it once was
    steady, drifting = (
        LatencyTable.measure(cost_model, Deployment.build(target, cost_model.network, tmp_path), {})
        for target in (FakeTarget(), DriftingTarget())
    )
    counts = np.random.default_rng(0).integers(
        1, cost_model.sizes + 1, size=(10, len(cost_model.sizes))
    )
    relative = [
        table.seconds(counts, LayerSettings()) / table.original_s for table in (drifting, steady)
    ]
    assert relative[0] == pytest.approx(relative[1], rel=0.02)


def test_whole_networks_correct_the_prediction(cost_model, tmp_path):
    problem = joint(cost_model, tmp_path)
    rng = np.random.default_rng(0)
    rows = [problem.execute(rng.uniform(size=len(problem))) for _ in range(30)]
    truth = [
        1.7 * float(problem.total("latency", row[None])[0]) / problem.of_original("latency")
        for row in rows
    ]
    for row, relative in zip(rows[:20], truth[:20], strict=True):
        problem.correct(row, relative)
    predicted = problem.total("latency", np.array(rows[20:])) / problem.of_original("latency")
    assert np.median(np.abs(predicted / truth[20:] - 1)) < 0.1  # it was off by 0.41 before
    assert 0 < problem.latency.error() < 0.41


def test_what_was_measured_of_layers_is_kept(cost_model, tmp_path, monkeypatch):
    path = tmp_path / "latency.json"
    first = latency_table(cost_model, tmp_path, path)
    monkeypatch.setattr(Deployment, "measure_other", None)
    again = latency_table(cost_model, tmp_path, path)
    assert again.original_s == first.original_s
    assert json.loads(path.read_text())["measured_on"] == "fake 1, no device, 1 threads"


def test_a_latency_is_refused_if_it_is_out_of_reach_by_more_than_predictions_err(
    cost_model, tmp_path, monkeypatch
):
    open_problem = joint(cost_model, tmp_path)
    least = float(
        open_problem.total("latency", open_problem.lowest[None])[0]
    ) / open_problem.of_original("latency")
    with pytest.raises(
        BudgetError, match="cannot be met: the smallest reachable value is latency<="
    ):
        joint(cost_model, tmp_path, f"latency<={0.97 * least}")
    monkeypatch.setattr(LatencyTable, "error", lambda table: 0.05)
    problem = joint(cost_model, tmp_path, f"latency<={0.97 * least}")
    assert (problem.execute(np.ones(len(problem))) == problem.lowest).all()
    with pytest.raises(BudgetError, match="cannot be met"):
        joint(cost_model, tmp_path, f"latency<={0.9 * least}")


class SlowNarrowIntegers:
    """Integers are fast in wide layers.

    In layers of few channels they take four times as long as floats.
    """

    def __init__(self, cost_model, narrow=8):
        self._cost_model, self._narrow, self.original_s = cost_model, narrow, 1.0

    def seconds(self, counts, options):
        inputs, outputs = self._cost_model.channels(counts)
        integer = 0 if options.weight_bits is None else options.weight_bits == 8
        return (
            np.where(integer, np.where(outputs <= self._narrow, 4.0, 0.25), 1.0)
            * (inputs + outputs)
        ).sum(1) / 1e3

    def correct(self, counts, options, seconds):
        pass

    def error(self):
        return 0.0


def test_a_latency_is_reached_also_where_fewer_bits_are_slower(cost_model):
    latency, budget = SlowNarrowIntegers(cost_model), "latency<={}ms"
    space = SearchSpace(
        methods=("prune", "quantize"), precisions=pairs(cost_model, FakeTarget()), multiple=8
    )
    problem = Problem.of(cost_model, Budget(()), space, latency=latency)
    every = np.stack(
        np.meshgrid(*[d.choices for d in problem.decisions], indexing="ij"), -1
    ).reshape(-1, len(problem))
    least = 1e3 * problem.total("latency", every).min()
    assert least < 0.9e3 * problem.total("latency", problem.lowest[None])[0]
    with pytest.raises(BudgetError, match=f"smallest reachable value is latency<={least:.3g}ms"):
        Problem.of(cost_model, Budget.parse(budget.format(0.9 * least)), space, latency=latency)
    problem = Problem.of(
        cost_model, Budget.parse(budget.format(1.01 * least)), space, latency=latency
    )
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert problem.usage(problem.execute(rng.uniform(size=len(problem)))[None])[0] <= 1 + 1e-9


def test_counted_bounds_hold_whatever_latency_does(cost_model):
    """The least latency and the least BOPs are those of different policies here."""
    space = SearchSpace(
        methods=("prune", "quantize"), precisions=pairs(cost_model, FakeTarget()), multiple=8
    )
    latency = SlowNarrowIntegers(cost_model)
    free = Problem.of(cost_model, Budget(()), space, latency=latency)
    every = np.stack(np.meshgrid(*[d.choices for d in free.decisions], indexing="ij"), -1).reshape(
        -1, len(free)
    )
    seconds, bops = free.total("latency", every), free.total("bops", every)
    ceiling = int(0.5 * bops[seconds.argmin()])
    together = 1e3 * seconds[bops <= ceiling].min()
    assert together > 1.02e3 * seconds.min()
    with pytest.raises(
        BudgetError, match=r"its bounds can, but not all at once; nearest is bops<=\d+, latency<="
    ):
        Problem.of(
            cost_model,
            Budget.parse(f"bops<={ceiling},latency<={0.99 * together}ms"),
            space,
            latency=latency,
        )
    problem = Problem.of(
        cost_model,
        Budget.parse(f"bops<={ceiling},latency<={1.01 * together}ms"),
        space,
        latency=latency,
    )
    rng = np.random.default_rng(0)
    for factor in (1.0, 1.05, 1.5):
        problem.tighten(factor)
        for _ in range(20):
            counts = problem.execute(rng.uniform(size=len(problem)))
            assert problem.total("bops", counts[None])[0] <= ceiling


def test_pairs_of_bits_of_which_each_is_smaller_in_one_way(cost_model):
    choices = ((8, 8), (4, 32), (32, 32))
    space = SearchSpace(
        methods=("quantize",),
        precisions={layer.name: choices for layer in cost_model.network.layers},
    )
    least = Problem.of(cost_model, Budget(()), space)
    narrow = np.array([[d.precisions.index((4, 32)) + 1 for d in least.decisions]])
    share = float(least.total("size", narrow)[0]) / least.original.size
    problem = Problem.of(cost_model, Budget.parse(f"size<={1.02 * share}"), space)
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert problem.usage(problem.execute(rng.uniform(size=len(problem)))[None])[0] <= 1 + 1e-9
    with pytest.raises(BudgetError, match="cannot be met: the smallest reachable value is size<="):
        Problem.of(cost_model, Budget.parse(f"size<={0.98 * share}"), space)


def test_errors_of_bits_fall_only_where_both_are_wider(cost_model, data):
    compressor = Compressor(
        cost_model.network, data.calibration.normalized(), CompressOptions(images=16)
    )
    layer = cost_model.network.layers[1].name
    both, weights_only, neither = compressor.precision_errors(layer, ((8, 8), (4, 32), (32, 32)))
    assert weights_only > 10 * both > 0
    assert neither == 0


def test_bits_have_a_line_of_their_own_where_not_all_of_them_are_faster(cost_model):
    latency = SlowNarrowIntegers(cost_model, narrow=16)
    space = SearchSpace(
        methods=("prune", "quantize"), precisions=pairs(cost_model, FakeTarget()), multiple=8
    )
    free = Problem.of(cost_model, Budget(()), space, latency=latency)
    bits = free.quantizes
    total = 1e3 * free.total(
        "latency", np.stack([free.highest, np.where(bits, free.lowest, free.highest)])
    )
    problem = Problem.of(
        cost_model, Budget.parse(f"latency<={0.8 * total.min()}ms"), space, latency=latency
    )
    setting = SearchContext(
        problem, 11, 60, [np.linspace(1, 0, len(d.choices)) for d in problem.decisions], seed=0
    )
    found = [
        line for line in Lineage.of_kinds(setting) if (line.start == problem.highest)[~bits].all()
    ]
    assert len(found) == 1
    assert problem.usage(found[0].start[None])[0] <= 1


@pytest.mark.parametrize("ceiling", [0.2, 0.5])
def test_any_actions_meet_a_predicted_latency(cost_model, ceiling, tmp_path):
    problem = joint(cost_model, tmp_path, f"latency<={ceiling}")
    rng = np.random.default_rng(1)
    for _ in range(20):
        counts = problem.execute(rng.uniform(size=len(problem)))
        assert float(problem.total("latency", counts[None])[0]) <= ceiling * problem.of_original(
            "latency"
        ) * (1 + 1e-9)


def test_policies_of_both_methods_round_trip(cost_model, tmp_path):
    problem = joint(cost_model, tmp_path)
    counts = problem.execute(np.random.default_rng(0).uniform(size=len(problem)))
    policy = problem.policy(counts)
    assert Policy.from_json(policy.to_json()) == policy
    ratios = {
        decision.name: count / decision.size
        for decision, count in zip(problem.decisions, counts, strict=True)
    }
    assert np.array_equal(problem.counts(ratios), counts)
    assert set(policy.weight_bits.values()) <= {8, 32}


@pytest.mark.parametrize("agent", ["evolution", "ddpg", "knapsack"])
def test_a_joint_search_delivers_what_it_promises(agent, model, data, tmp_path):
    target = FakeTarget()
    options = dataclasses.replace(QUICK, agent=agent)
    result = sartor.compress(
        model, data, budget="latency<=0.3", options=options, target=target, out=tmp_path / "run"
    )
    best = result.report["best"]
    assert result.report["budget_met"]
    assert result.report["latency_ceiling"] == pytest.approx(0.3)
    assert best["latency"]["relative"] <= 0.3
    compressor = Compressor(
        result.network, data.calibration.normalized(), CompressOptions(images=16)
    )
    assert measured(target, compressor, result.policy, tmp_path) == pytest.approx(
        best["latency"]["relative"], rel=1e-6
    )
    again = sartor.load(tmp_path / "run", demo.DigitsNet())
    images = data.test.normalized()
    with torch.no_grad():
        assert torch.equal(again(images), result.model(images))
    assert best["size"] < 0.5 * result.report["original"]["size"]


def test_an_interrupted_joint_search_goes_on_as_if_nothing_had_happened(model, data, tmp_path):
    whole = sartor.compress(
        model, data, budget="latency<=0.3", options=QUICK, target=FakeTarget(), out=tmp_path / "a"
    )
    seen = []

    def stop(episode, best):
        seen.append(episode)
        if len(seen) == 6:
            raise KeyboardInterrupt

    sartor.compress(
        model,
        data,
        budget="latency<=0.3",
        options=QUICK,
        target=FakeTarget(),
        out=tmp_path / "b",
        progress=to_episodes(stop),
    )
    resumed = sartor.compress(
        model, data, budget="latency<=0.3", options=QUICK, target=FakeTarget(), out=tmp_path / "b"
    )
    assert resumed.policy == whole.policy
    assert resumed.report["episodes"] == whole.report["episodes"] == 10


def test_quantizing_alone_keeps_all_channels(model, data):
    options = dataclasses.replace(QUICK, methods=("quantize",))
    result = sartor.compress(model, data, budget="bops<=40%", options=options, target=FakeTarget())
    assert not result.policy.channels
    assert result.report["best"]["ratio"]["bops"] <= 0.4
    assert result.report["best"]["ratio"]["macs"] == 1


def test_bits_cost_what_they_should(cost_model):
    layers = [layer.name for layer in cost_model.network.layers]
    original = cost_model.original
    weights = sum(layer.weights for layer in cost_model.network.layers)
    cost = cost_model.cost(
        Policy(weight_bits=dict.fromkeys(layers, 4), activation_bits=dict.fromkeys(layers, 8))
    )
    assert cost.bops == original.macs * 4 * 8
    assert cost.size == pytest.approx(original.size - weights * (4 - 0.5))
    assert (cost.macs, cost.params) == (original.macs, original.params)


def test_what_is_scored_is_what_is_delivered(model, data):
    options = dataclasses.replace(QUICK, methods=("quantize",), finalists=1)
    result = sartor.compress(model, data, budget="bops<=40%", options=options, target=FakeTarget())
    with torch.no_grad():
        right = (result.model(data.test.normalized()).argmax(1) == data.test.labels).float().mean()
    assert result.report["best"]["test"] == pytest.approx(float(right), abs=1e-6)
    compressor = Compressor(result.network, data.calibration.normalized(), options.compress)
    expected = quantize(
        fold(compressor.candidate(Policy())),
        result.policy,
        (data.calibration.normalized(),),
        FakeTarget().scheme,
    )
    for name, module in expected.named_modules():
        if hasattr(module, "weight_scale"):
            assert torch.allclose(
                module.weight_scale, result.model.get_submodule(name).weight_scale
            )


def test_a_search_starts_from_what_an_earlier_one_decided(model, data, tmp_path):
    """Prune, then quantize what was pruned."""
    first = dataclasses.replace(QUICK, methods=("prune",))
    pruned = sartor.compress(
        model, data, budget="latency<=0.6", options=first, target=FakeTarget(), out=tmp_path / "a"
    )
    then = dataclasses.replace(QUICK, methods=("quantize",), base=tmp_path / "a")
    both = sartor.compress(
        model, data, budget="latency<=0.3", options=then, target=FakeTarget(), out=tmp_path / "b"
    )
    assert both.policy.channels == pruned.policy.channels
    assert min(both.policy.weight_bits.values()) == 8
    assert (
        both.report["best"]["latency"]["relative"]
        <= 0.3
        < pruned.report["best"]["latency"]["relative"]
        <= 0.6
    )
    assert both.report["best"]["macs"] == pruned.report["best"]["macs"]
    coarser = FakeTarget(widths=(32,))
    with pytest.raises(
        PolicyError, match=r"target fake cannot run layer '.*' at 8/8 bits .* are 32/32"
    ):
        sartor.compress(
            model, data, options=dataclasses.replace(first, base=tmp_path / "b"), target=coarser
        )


def test_latency_is_foretold_of_layers_that_are_quantized_already(model, data, tmp_path):
    first = dataclasses.replace(QUICK, methods=("quantize",))
    sartor.compress(
        model, data, budget="latency<=0.6", options=first, target=FakeTarget(), out=tmp_path / "a"
    )
    then = dataclasses.replace(QUICK, methods=("prune",), base=tmp_path / "a")
    both = sartor.compress(
        model, data, budget="latency<=0.3", options=then, target=FakeTarget(), out=tmp_path / "b"
    )
    assert both.report["latency_prediction_error"] < 0.02
    table = json.loads((tmp_path / "b" / "latency.json").read_text())["seconds"]
    assert any("at 8/8 bits" in key for key in table)


def test_searches_share_what_was_measured_of_layers(model, data, tmp_path, monkeypatch):
    built, build = [], FakeTarget.build
    monkeypatch.setattr(
        FakeTarget, "build", lambda self, *args: built.append(args) or build(self, *args)
    )
    options = dataclasses.replace(
        QUICK,
        methods=("quantize",),
        agent="uniform",
        seed_with=("uniform",),
        table=tmp_path / "t.json",
    )
    counts = []
    for name in ("a", "b"):
        built.clear()
        sartor.compress(
            model,
            data,
            budget="latency<=0.6",
            options=options,
            target=FakeTarget(),
            out=tmp_path / name,
        )
        counts.append(len(built))
        assert not (tmp_path / name / "latency.json").exists()
    entries = json.loads((tmp_path / "t.json").read_text())["seconds"]
    assert counts[0] - counts[1] == len(entries) - 1 > 10  # the original is built for each
    other = type(model)().eval()
    latency_table(
        CostModel(trace(other, data.calibration.normalized()[:1])), tmp_path, tmp_path / "t.json"
    )
    assert (
        len(json.loads((tmp_path / "t.json").read_text())["seconds"]) == len(entries) + 1
    )  # only the network as a whole is new


def test_a_policy_that_comes_again_teaches_the_predictor_nothing(model, data, monkeypatch):
    corrected = []
    monkeypatch.setattr(
        Problem, "correct", lambda self, counts, relative: corrected.append(counts.tobytes())
    )
    options = dataclasses.replace(
        QUICK, agent="uniform", seed_with=("uniform",), baselines=(), finalists=1
    )
    result = sartor.compress(
        model, data, budget="latency<=0.5", options=options, target=FakeTarget()
    )
    assert result.report["episodes"] == QUICK.episodes
    assert len(corrected) == 2  # once in the search, once for the finalist


def test_a_soft_bound_on_latency_is_told_as_met_only_if_it_is(model, data):
    options = dataclasses.replace(
        QUICK, reward="absolute", agent="random", seed_with=(), episodes=3
    )
    found = sartor.compress(
        model, data, budget="latency<=0.12", options=options, target=FakeTarget()
    ).report
    assert found["budget_met"] == (found["best"]["latency"]["relative"] <= 0.12)
    wide = sartor.compress(
        model, data, budget="latency<=0.99", options=options, target=FakeTarget()
    ).report
    assert wide["budget_met"]


@pytest.mark.parametrize("state", [(), ("sensitivity",), ("latency",), ("sensitivity", "latency")])
def test_the_state_of_galens_agent_is_what_was_asked_for(state, model, data, tmp_path):
    options = dataclasses.replace(QUICK, agent="galen", state=state, episodes=4)
    result = sartor.compress(
        model, data, budget="latency<=0.5", options=options, target=FakeTarget(), out=tmp_path
    )
    assert result.report["state"] == list(state)
    assert (tmp_path / "sensitivity.json").exists() == ("sensitivity" in state)
    if "latency" in state:
        shares = json.loads((tmp_path / "profile.json").read_text())
        assert set(shares) == {layer.name for layer in result.network.layers}
        before, after = np.array(list(shares.values())).sum(0)
        assert before == pytest.approx(1)
        assert 0.25 < after < 0.5  # a quarter for the work, and the constant of each layer


def test_a_sensitivity_measured_before_is_used(model, data, tmp_path):
    options = dataclasses.replace(QUICK, agent="galen", episodes=4)
    first = sartor.compress(
        model, data, budget="latency<=0.5", options=options, target=FakeTarget(), out=tmp_path / "a"
    )
    reuse = dataclasses.replace(options, sensitivity=tmp_path / "a" / "sensitivity.json")
    again = sartor.compress(
        model, data, budget="latency<=0.5", options=reuse, target=FakeTarget(), out=tmp_path / "b"
    )
    assert again.policy == first.policy
    assert not (tmp_path / "b" / "sensitivity.json").exists()


def test_rewards_know_of_latency():
    from sartor.cost import Cost

    outcome = Outcome(0.9, 100, False, Cost(1, 1, 1, 1), relative_latency=0.36)
    assert REWARDS.get("accuracy")(outcome, 0.3) == pytest.approx(0.9 / 1.2 - 1)
    assert REWARDS.get("accuracy")(outcome, 0.5) == pytest.approx(-0.1)
    assert REWARDS.get("absolute")(outcome, 0.3) == pytest.approx(0.9 - 3 * 0.2)


def test_bad_input_is_refused(model, data, cost_model, tmp_path):
    options = sartor.SearchOptions(agent="galen", reward="fidelity", state=("latency",))
    with pytest.raises(UsageError, match="the state has latency, which needs a target"):
        sartor.compress(model, data, options=options)
    with pytest.raises(UsageError, match="state has 'speed'; allowed are sensitivity, latency"):
        sartor.SearchOptions(state=("speed",))
    with pytest.raises(
        RunError, match=r"policy.json is missing; it is written by a finished search"
    ):
        sartor.compress(model, data, options=sartor.SearchOptions(base=tmp_path))
    with pytest.raises(
        BudgetError, match=r"smallest reachable value is latency<=.*ms \(predicted\)"
    ):
        joint(cost_model, tmp_path, "latency<=1%")
    with pytest.raises(DataError, match="quantizing needs calibration images"):
        Compressor(cost_model.network, None, CompressOptions()).candidate(
            Policy(weight_bits={"linear": 8})
        )
    with pytest.raises(PolicyError, match="the policy names the layer 'nowhere'"):
        cost_model.cost(Policy(weight_bits={"nowhere": 8}))
    with pytest.raises(
        PolicyError, match=r"weight_bits\['linear'\] is 9; allowed are 1 to 8, and 32"
    ):
        Policy(weight_bits={"linear": 9})


class Patient(FakeTarget):
    """One that measures, and remembers how patiently."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def describe(self):
        return dataclasses.replace(super().describe(), measured=True)

    def compare(self, candidate, original, patience=None, gauge=None):
        self.asked.append(patience)
        return super().compare(candidate, original, patience, gauge)


def test_quiet_moments_are_known_before_anything_is_compared_with_them(
    cost_model, tmp_path, monkeypatch
):
    """Also where the latencies of a search before are there already.

    The original is not timed again then.
    """
    first = Patience(limit_s=0.05)
    monkeypatch.setattr(_deployment, "_FIRST", first)
    deployment = Deployment.build(Patient(), cost_model.network, tmp_path)
    for _ in range(2):
        deployment.measure(fold(cost_model.network.module))
    assert [patience is first for patience in deployment.target.asked] == [True, False, False]


class KindAtFirst(FakeTarget):
    """A machine on which every network is a tenth too fast at first.

    That is the first time it is measured until it is sure.
    """

    seen: set

    def compare(self, candidate, original, patience=None, gauge=None):
        found = super().compare(candidate, original, patience, gauge)
        if patience is SURE and found.relative not in self.seen:
            self.seen.add(found.relative)
            return dataclasses.replace(
                found, relative=0.9 * found.relative, low=0.9 * found.low, high=0.9 * found.high
            )
        return found


def test_what_is_delivered_met_the_ceiling_twice(model, data):
    target = KindAtFirst()
    target.seen = set()
    result = sartor.compress(model, data, budget="latency<=0.5", options=QUICK, target=target)
    latency = result.report["best"]["latency"]
    assert result.report["budget_met"]
    assert latency["relative"] in target.seen  # the second, honest measurement
    assert 0.4 < latency["high"] <= 0.5


class NeverQuiet(FakeTarget):
    """A machine that is busy whenever a search measures.

    Everything takes twice as long, and nothing settles.
    """

    def compare(self, candidate, original, patience=None, gauge=None):
        found = super().compare(candidate, original, patience, gauge)
        return (
            found
            if patience is SURE
            else dataclasses.replace(found, relative=2 * found.relative, settled=False)
        )


def test_what_was_measured_while_the_machine_was_busy_is_told_and_corrects_no_prediction(
    model, data, monkeypatch
):
    corrected = []
    monkeypatch.setattr(
        Problem, "correct", lambda problem, counts, relative: corrected.append(relative)
    )
    options = dataclasses.replace(QUICK, agent="knapsack", seed_with=(), episodes=1)
    report = sartor.compress(
        model, data, budget="latency<=0.5", options=options, target=NeverQuiet()
    ).report
    assert report["latencies_unsettled"] == 1
    assert corrected == [report["best"]["latency"]["relative"]]  # by what was delivered alone
