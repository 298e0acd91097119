import numpy as np
import pytest
import torch
from torch import nn

from sartor.budget import Budget
from sartor.cost import CostModel
from sartor.errors import BudgetError, PolicyError, UsageError
from sartor.graph import trace
from sartor.policy import Policy
from sartor.problem import Problem, SearchSpace
from sartor.targets import make
from sartor.targets.fpga import FpgaDevice, FpgaTarget
from sartor.testing import TargetConformance, example_network

TOML = "part = 'x'\nlut = 1000\nbram = 10\ndsp = 4\nclock_mhz = 100\n"


class TestFpga(TargetConformance):
    @pytest.fixture
    def target(self):
        return make("fpga:pynq-z2")


def costs_of(text, budget="", network=None):
    target = make(text).within(Budget.parse(budget))
    cost_model = CostModel(network or example_network()[0])
    return target.costs(cost_model), cost_model


def test_more_rate_takes_more_of_a_device():
    taken = []
    for fps in (100, 1000, 10000):
        costs, cost_model = costs_of("fpga:pynq-z2,multipliers=lut", f"fps>={fps}")
        counts, settings = cost_model.row(Policy())
        (found,) = costs.total("fps", counts, settings)
        assert found >= fps
        (lut,) = costs.total("lut", counts, settings)
        taken.append(lut)
    assert taken == sorted(taken)


def test_without_a_rate_the_fastest_that_fits_is_taken():
    small, cost_model = costs_of("fpga:zcu104", "lut<=10%")
    large, _ = costs_of("fpga:zcu104", "lut<=60%")
    row = cost_model.row(Policy())
    assert small.total("lut", *row) <= 0.1 * small.whole("lut")
    assert small.total("fps", *row) < large.total("fps", *row)


def test_multipliers_are_where_they_are_asked_for():
    for choice, has_slices in (("lut", False), ("dsp", True)):
        costs, cost_model = costs_of(f"fpga:zcu104,multipliers={choice},fps=1000")
        (slices,) = costs.total("dsp", *cost_model.row(Policy()))
        assert (slices > 0) == has_slices


def test_policies_cost_the_same_one_by_one_and_together():
    costs, cost_model = costs_of("fpga:zcu104,fps=1000")
    network = cost_model.network
    rng = np.random.default_rng(0)
    counts = np.stack([rng.integers(1, size + 1, 20) for size in cost_model.sizes], axis=1)
    bits = rng.integers(2, 9, (20, len(network.layers)))
    _, settings = cost_model.row(Policy())
    together = type(settings)(weight_bits=bits, activation_bits=bits)
    all_at_once = costs.total("lut", counts, together)
    for index in range(20):
        row = slice(index, index + 1)
        alone = type(settings)(weight_bits=bits[row], activation_bits=bits[row])
        assert costs.total("lut", counts[row], alone) == all_at_once[row]


def test_problems_keep_several_bounds_at_once():
    budget = Budget.parse("fps>=1000,lut<=40%,bram<=50%,dsp<=30%")
    target = make("fpga:zcu104").within(budget)
    network, _ = example_network()
    cost_model = CostModel(network)
    pairs = target.describe().supports["conv"].precisions
    space = SearchSpace(
        ("prune", "quantize"), precisions={layer.name: pairs for layer in network.layers}
    )
    problem = Problem.of(cost_model, budget, space, hardware=target.costs(cost_model))
    rng = np.random.default_rng(0)
    for _ in range(5):
        counts = problem.execute(rng.uniform(size=len(problem)))
        for quantity, most in (("lut", 0.4), ("bram", 0.5), ("dsp", 0.3)):
            (total,) = problem.total(quantity, counts[None])
            assert total <= most * problem.of_original(quantity)
        assert problem.total("fps", counts[None])[0] >= 1000


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("fps>=1K,lut<=1%", "the smallest reachable value is lut<=.* of the device's"),
        ("fps>=1G", "the largest reachable value is fps>="),
    ],
)
def test_what_is_out_of_reach_is_refused_with_the_nearest(budget, said):
    bounds = Budget.parse(budget)
    target = make("fpga:pynq-z2").within(bounds)
    cost_model = CostModel(example_network()[0])
    with pytest.raises(BudgetError, match=said):
        Problem.of(cost_model, bounds, hardware=target.costs(cost_model))


def test_a_budget_on_a_device_needs_one():
    cost_model = CostModel(example_network()[0])
    with pytest.raises(UsageError, match="a budget on lut needs a target that estimates it"):
        Problem.of(cost_model, Budget.parse("lut<=50%"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("lut = ", "is not TOML"),
        (TOML.replace("lut = 1000\n", ""), "lut"),
        (TOML.replace("lut = 1000", "lut = 0"), "lut is 0; it must be at least 1"),
        (TOML.replace("lut = 1000", "lut = 'many'"), "lut"),
        (TOML + "luts = 3\n", "unknown key 'luts'"),
        (TOML.replace("100\n", "1e9\n"), "clock_mhz is 1e\\+09; it must lie above 0"),
    ],
)
def test_nonsense_in_a_file_is_refused(content, said, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(UsageError, match=said):
        FpgaDevice.read(str(path))


def test_a_file_is_a_device(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TOML)
    assert make(f"fpga:{path},clock=50MHz").describe().device == "x at 50 MHz (assumed)"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fpga", "needs a device, such as fpga:pynq-z2"),
        ("fpga:pynq", "FPGA 'pynq' is not known; did you mean 'pynq-z2'?"),
        ("fpga:none.toml", "the FPGA's file none.toml cannot be read"),
        ("fpga:pynq-z2,clock=fast", "clock is 'fast'; allowed are MHz"),
        ("fpga:pynq-z2,multipliers=dps", "multipliers is 'dps'; allowed are auto, lut, dsp"),
        ("fpga:pynq-z2,scales=2", "scales is '2'; allowed are two, free"),
        ("fpga:pynq-z2,fps=0", "fps is '0'; allowed are frames"),
        ("fpga:pynq-z2,cloc=3", "has no choice 'cloc'; did you mean 'clock'?"),
        ("onnxruntime:fast", "target onnxruntime takes nothing behind its name"),
    ],
)
def test_names_that_say_nothing_are_refused(name, said):
    with pytest.raises(UsageError, match=said):
        make(name)


@pytest.mark.parametrize(
    ("model", "shape", "said"),
    [
        (nn.Sequential(nn.Conv2d(3, 8, 1), nn.Softmax(1)), (1, 3, 4, 4), "operator 'nn.Softmax'"),
        (nn.Sequential(nn.Conv2d(4, 8, 3, groups=2)), (1, 4, 8, 8), "a convolution in 2 groups"),
        (nn.Sequential(nn.Conv2d(3, 8, 3, dilation=2)), (1, 3, 8, 8), "dilated by 2"),
        (nn.Sequential(nn.Conv3d(1, 2, 1)), (1, 1, 4, 4, 4), "over 3 axes"),
    ],
)
def test_what_no_engine_computes_is_refused_by_name(model, shape, said):
    network = trace(model, torch.zeros(*shape))
    with pytest.raises(UsageError, match=f"target fpga has no engine for .*{said}"):
        make("fpga:pynq-z2").costs(CostModel(network))


def test_the_smallest_design_needs_a_rate():
    goal = Budget.parse("accuracy>=-1%,lut<=60%")
    with pytest.raises(BudgetError, match="asks for no rate"):
        make("fpga:pynq-z2").within(goal)
    assert make("fpga:pynq-z2,fps=10").within(goal).budget == goal


def test_bits_that_it_lacks_are_refused():
    network, _ = example_network()
    name = network.layers[0].name
    policy = Policy(weight_bits={name: 1}, activation_bits={name: 8})
    with pytest.raises(PolicyError, match=r"cannot run layer .* at 1/8 bits"):
        make("fpga:pynq-z2").check(network, policy)


def test_a_candidate_is_estimated_as_its_policy_is(tmp_path):
    target: FpgaTarget = make("fpga:zcu104,fps=1000")
    network, images = example_network()
    costs = target.costs(CostModel(network))
    artifact = target.build(network.module, (images[:1],), tmp_path / "a.fpga.json")
    assert target.load(artifact).seconds() == costs.original_s
    assert sum(target.profile(artifact).values()) > 0
