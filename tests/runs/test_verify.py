"""What was promised is held against a measurement under the same conditions, and no other."""

import dataclasses
from types import SimpleNamespace

import pytest

from sartor import SearchOptions
from sartor.runs import RunConfig
from sartor.runs._verify import hold_against
from sartor.targets import TargetOptions
from verified import FOUND


def held(tmp_path, *, batch=4, device="cpu", here="cpu", threads=1):
    options = SearchOptions(
        target="torch", target_batch=4, target_device=device, target_threads=threads
    )
    config = RunConfig(budget="latency<=0.5", options=options)
    # all that is asked of a report
    result = SimpleNamespace(budget_enforced=True, latency_ceiling=0.5)
    found = dataclasses.replace(FOUND, batch=batch)
    told = TargetOptions(batch=4, device=here)
    return hold_against(found, tmp_path / "a", config, result, target="torch", options=told)


def test_as_many_images_as_in_the_search_are_held_against_its_promise(tmp_path):
    verified = held(tmp_path)
    assert verified.faults == ("relative latency is 0.700 (from 0.650), above 0.500",)
    assert verified.unchecked == ()


@pytest.mark.parametrize(
    ("changed", "promised", "measured"),
    [
        ({"batch": 1}, "on torch, 1 thread, of 4 images", "on torch, 1 thread, of 1 image"),
        ({"threads": 2}, "on torch, 2 threads, of 4 images", "on torch, 1 thread, of 4 images"),
        ({"device": "cuda"}, "on torch in fp32 on cuda, 1 thread", "on torch, 1 thread"),
        ({"here": "mps"}, "on torch, 1 thread", "on torch in fp32 on mps, 1 thread"),
    ],
)
def test_other_conditions_are_not(tmp_path, changed, promised, measured):
    verified = held(tmp_path, **changed)
    assert verified.faults == ()
    (sentence,) = verified.unchecked
    assert f"was promised {promised}" in sentence
    assert f"against this one {measured}" in sentence
