"""Which device is meant, what this machine has, and what is left behind in the process."""

import pytest
import torch

from sartor.errors import UsageError
from sartor.machine import (
    choose_device,
    enough_memory,
    half_format_of_gpu,
    reproducible,
    require_device_name,
    seeded,
    solving_device,
)

GPU = torch.device("cuda", 0)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def apple(monkeypatch, no_gpu):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:0", "cuda:12", "mps"])
def test_names_of_devices_need_no_such_device(name):
    require_device_name(name)


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:-1", "CPU", "cuda:1 ", 0, None])
def test_other_names_are_refused(name):
    with pytest.raises(UsageError, match=r"^device is .*; allowed are auto, cpu, cuda, cuda:1 and"):
        require_device_name(name)


def test_auto_is_the_present_gpu_where_there_is_one(two_gpus):
    assert choose_device("auto") == torch.device("cuda", 1)
    assert choose_device("cuda") == torch.device("cuda", 1)
    assert choose_device("cuda:0") == torch.device("cuda", 0)
    assert choose_device("cpu") == torch.device("cpu")


def test_auto_is_the_cpu_where_there_is_none(no_gpu):
    assert choose_device("auto") == torch.device("cpu")


def test_apples_gpu_is_used_where_it_is_asked_for(apple):
    assert choose_device("auto") == torch.device("cpu")
    assert choose_device("mps") == torch.device("mps")


def test_a_device_that_is_not_there_is_refused_with_those_that_are(two_gpus):
    with pytest.raises(UsageError) as raised:
        choose_device("cuda:3")
    assert str(raised.value) == (
        "device 'cuda:3': this machine has cuda:0 to cuda:1; allowed are auto, cpu, cuda:0, cuda:1"
    )


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_gpus_are_refused_where_there_is_none(name, no_gpu):
    with pytest.raises(UsageError) as raised:
        choose_device(name)
    assert str(raised.value) == (
        f"device {name!r}: this machine has no GPU that torch can use; allowed are auto, cpu"
    )


def test_the_one_gpu_is_named(apple):
    with pytest.raises(UsageError, match="this machine has mps; allowed are auto, cpu, mps"):
        choose_device("cuda:0")


@pytest.mark.parametrize(
    ("generation", "expected"),
    [((6, 1), None), ((7, 0), torch.float16), ((7, 5), torch.float16), ((8, 0), torch.bfloat16)],
)
def test_the_format_of_16_bits_follows_the_generation(generation, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: generation)
    assert half_format_of_gpu(GPU) == expected


def test_the_cpu_and_apples_gpu_have_no_such_format():
    assert half_format_of_gpu(torch.device("cpu")) is None
    assert half_format_of_gpu(torch.device("mps")) is None


def test_systems_are_solved_where_that_is_possible():
    assert solving_device(GPU) == GPU
    assert solving_device(torch.device("mps")) == torch.device("cpu")


def settings():
    cudnn = torch.backends.cudnn
    matmul = torch.backends.cuda.matmul
    return cudnn.deterministic, cudnn.benchmark, cudnn.conv.fp32_precision, matmul.fp32_precision


def test_fp32_is_exact_on_a_gpu_for_a_while():
    before = settings()
    with reproducible(GPU):
        assert settings() == (True, False, "ieee", "ieee")
    assert settings() == before


def test_training_may_round_as_the_process_does():
    before = settings()
    with reproducible(GPU, tf32=True):
        assert settings() == (True, False, *before[2:])
    assert settings() == before


def test_settings_are_put_back_after_an_error():
    before = settings()
    with pytest.raises(ZeroDivisionError), reproducible(GPU):
        raise ZeroDivisionError
    assert settings() == before


def test_the_cpu_needs_no_settings():
    before = settings()
    with reproducible(torch.device("cpu")):
        assert settings() == before


def test_too_little_memory_is_said_in_a_sentence():
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.\nGPU 0 has")
    with pytest.raises(UsageError) as raised, enough_memory(GPU):
        raise error
    assert str(raised.value).startswith(
        "device 'cuda:0' has too little memory (CUDA out of memory. Tried to allocate 20 GiB.); "
    )


def test_seeds_leave_no_trace_and_touch_no_gpu(monkeypatch):
    touched = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", touched.append)
    before = torch.random.get_rng_state()
    with seeded(3):
        first = torch.rand(4)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not touched

    generator = torch.Generator().manual_seed(3)
    assert torch.equal(torch.rand(4, generator=generator), first)
