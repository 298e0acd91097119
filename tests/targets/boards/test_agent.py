"""What the program on a board does, without a board."""

import hashlib
import os

import pytest

from sartor.targets.boards.agent._cores import fastest
from sartor.targets.boards.agent._facts import facts
from sartor.targets.boards.agent._kept import Kept
from sartor.targets.boards.agent._processor import is_emulated, processor


def put(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_raspberry_pi_says_what_it_is_and_what_slows_it(tmp_path):
    cpu = "sys/devices/system/cpu/cpu2/cpufreq"
    put(
        tmp_path,
        {
            "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
            "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n",
            f"{cpu}/scaling_governor": "ondemand\n",
            f"{cpu}/scaling_cur_freq": "600000\n",
            f"{cpu}/cpuinfo_max_freq": "1800000\n",
            "sys/class/thermal/thermal_zone0/temp": "83500\n",
            # of the lowest four bits two are set; higher ones tell of the past
            "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
        },
    )
    found = facts(tmp_path, [2, 3], tmp_path)
    assert found["model"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert found["processor"] == "Cortex-A72"
    assert found["governor"] == "ondemand"
    assert (found["mhz"], found["most_mhz"], found["celsius"]) == (600.0, 1800.0, 83.5)
    assert found["slowed_by"] == "its voltage is too low, it is throttled"


def test_a_processor_that_the_kernel_cools_is_slowed_and_a_fan_slows_nothing(tmp_path):
    thermal = "sys/class/thermal"
    put(
        tmp_path,
        {
            f"{thermal}/cooling_device0/type": "cpufreq-cpu0",
            f"{thermal}/cooling_device0/cur_state": "2",
            f"{thermal}/cooling_device1/type": "pwm-fan",
            f"{thermal}/cooling_device1/cur_state": "3",
        },
    )
    slowed_by = facts(tmp_path, [0], tmp_path)["slowed_by"]
    assert slowed_by == "its processor is throttled (cpufreq-cpu0 at 2)"


def test_what_a_board_does_not_tell_is_nothing(tmp_path):
    found = facts(tmp_path, [0], tmp_path)
    assert (found["mhz"], found["celsius"], found["governor"]) == (0.0, 0.0, "")
    assert (found["slowed_by"], found["model"], found["emulated"]) == ("", "", False)


def test_all_kinds_of_cores_are_named(tmp_path):
    put(tmp_path, {"proc/cpuinfo": "CPU part\t: 0xd05\n\nCPU part\t: 0xd0b\nCPU part\t: 0xfff\n"})
    assert processor(tmp_path) == "Cortex-A55 + Cortex-A76 + ARM part 0xfff"


def test_a_kernel_of_another_architecture_means_emulation(tmp_path):
    other = "x86_64" if os.uname().machine == "aarch64" else "aarch64"
    put(tmp_path, {"proc/sys/kernel/arch": os.uname().machine})
    assert not is_emulated(tmp_path)
    put(tmp_path, {"proc/sys/kernel/arch": other})
    assert is_emulated(tmp_path)


def test_of_large_and_small_cores_the_large_ones_are_measured_on(tmp_path):
    for core, clock in enumerate((1400000, 1400000, 2200000, 2200000)):
        name = f"sys/devices/system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq"
        put(tmp_path, {name: str(clock)})
    assert fastest({0, 1, 2, 3}, tmp_path) == {2, 3}


def add(kept, content):
    digest = hashlib.sha256(content).hexdigest()
    kept.add(digest, content)
    return digest


def test_room_is_made_by_what_was_used_longest_ago(tmp_path):
    kept = Kept(tmp_path, most=25)
    first, second = add(kept, b"a" * 10), add(kept, b"b" * 10)
    os.utime(tmp_path / first, (1, 1))
    os.utime(tmp_path / second, (0, 0))
    assert kept.has(second)

    third = add(kept, b"c" * 10)
    assert (kept.has(first), kept.has(second), kept.has(third)) == (False, True, True)
    with pytest.raises(FileNotFoundError, match="is not kept any more"):
        kept.path(first)


def test_a_file_that_arrived_broken_is_not_kept(tmp_path):
    kept = Kept(tmp_path)
    digest = hashlib.sha256(b"right").hexdigest()
    with pytest.raises(ValueError, match="arrived broken"):
        kept.add(digest, b"wrong")
    assert not kept.has(digest)
