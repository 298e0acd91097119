import logging
from dataclasses import replace

import pytest

from sartor.errors import RunError
from sartor.targets.boards import Facts
from sartor.targets.boards._condition import Condition, warnings

CALM = Facts(
    process=1,
    python="3.13.5",
    model="Raspberry Pi 4 Model B",
    processor="Cortex-A72",
    emulated=False,
    cores=(0, 1, 2, 3),
    governor="performance",
    mhz=1800.0,
    most_mhz=1800.0,
    celsius=51.0,
    load=0.1,
    free_bytes=10**10,
    slowed_by="",
)
SLOWED = replace(CALM, slowed_by="it is throttled", celsius=84.0)


def condition(*facts, cooling_s=60.0):
    """One that sees these in turn; the last again and again. Seconds slept are counted."""
    left, slept = list(facts), []

    def look():
        return left.pop(0) if len(left) > 1 else left[0]

    return Condition("pi", look, cooling_s=cooling_s, sleep=slept.append), slept


def test_a_calm_board_is_neither_waited_for_nor_warned_of(caplog):
    calm, slept = condition(CALM)
    calm.wait()
    assert calm.held()
    assert not slept
    assert not caplog.records


def test_a_board_that_is_slowed_is_waited_for(caplog):
    cooling, slept = condition(SLOWED, SLOWED, CALM)
    with caplog.at_level(logging.WARNING):
        cooling.wait()
    assert len(slept) == 2
    assert "board pi: it is throttled; waiting" in caplog.messages


def test_a_board_that_stays_slowed_is_refused():
    hot, slept = condition(SLOWED)
    with pytest.raises(RunError, match="board pi cannot be measured: it is throttled at 84 °C; "):
        hot.wait()
    assert sum(slept) == 60.0


def test_slowing_down_while_it_is_measured_is_noticed(caplog):
    found, _ = condition(CALM, SLOWED)
    found.wait()
    assert not found.held()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"governor": "ondemand"}, "follows the governor ondemand; surer with: sudo cpupower"),
        ({"load": 2.0}, "its load is 2.0; something else runs there"),
        ({"celsius": 81.0}, "it is 81 °C hot"),
        ({"free_bytes": 10**8}, "only 100 MB of its disk are free"),
        ({"emulated": True}, "it is emulated; latencies there say nothing of a real board"),
    ],
)
def test_what_makes_latencies_less_sure_is_warned_of(change, said):
    (sentence,) = warnings(replace(CALM, **change))
    assert said in sentence
    assert not list(warnings(CALM))


def test_boards_of_a_kind_share_latencies_and_emulated_ones_do_not():
    assert CALM.device == "Raspberry Pi 4 Model B, Cortex-A72"
    assert replace(CALM, emulated=True).device.endswith("(emulated)")
