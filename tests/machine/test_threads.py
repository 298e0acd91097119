"""Work on several threads, each with one core, and images in memory."""

import threading

import pytest
import torch

from sartor.machine import channels_last, is_main, map_on_threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_keep_their_order_and_each_thread_has_one_core(two_threads):
    barrier = threading.Barrier(2, timeout=30)

    def work(item):
        if item < 2:
            barrier.wait()  # both are at work at once
        return item, torch.get_num_threads(), threading.current_thread() is threading.main_thread()

    found = map_on_threads(work, range(5))
    assert found == [(item, 1, False) for item in range(5)]
    assert torch.get_num_threads() == 2


def test_settings_are_as_before_when_the_function_fails(two_threads):
    with pytest.raises(ZeroDivisionError):
        map_on_threads(lambda item: 1 / item, [1, 0])
    assert torch.get_num_threads() == 2


def test_one_thread_works_where_it_is():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        here = map_on_threads(lambda item: threading.current_thread(), [0])
    finally:
        torch.set_num_threads(before)
    assert here == [threading.main_thread()]


def test_only_what_has_channels_and_two_sides_changes_its_layout():
    image = torch.zeros(2, 3, 4, 5)
    assert channels_last(image).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(channels_last(image), image)
    row = torch.zeros(2, 3)
    assert channels_last(row) is row


@pytest.mark.parametrize(("rank", "main"), [(None, True), ("0", True), ("1", False)])
def test_the_first_of_several_processes_is_the_main_one(rank, main, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    assert is_main() is main
