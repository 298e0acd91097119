"""What is said, and what is kept, where a board or the way to it fails."""

import os
import signal
import subprocess
import threading
from contextlib import suppress

import numpy as np
import pytest

from sartor.compression import fold
from sartor.errors import MissingPackageError, RunError, UsageError
from sartor.targets import Patience
from sartor.testing import example_network


@pytest.fixture
def artifact(board, tmp_path):
    network, images = example_network()
    path = tmp_path / "a.onnx"
    return board().build(fold(network.module), (images[:1],), path)


def test_a_board_that_is_killed_while_it_measures_says_so(board, artifact):
    target = board()
    session = target.load(artifact)
    process = target.board.facts().process
    threading.Timer(0.5, os.kill, (process, signal.SIGKILL)).start()
    with pytest.raises(RunError, match=r"board does not answer any more .* go on with --resume"):
        target.compare(session, session, Patience(least_s=30, limit_s=60))

    # connected anew, it finds what it keeps
    assert session.seconds() > 0
    assert target.board.facts().process != process


@pytest.fixture
def ctrl_c():
    """Interrupts, also where what started the tests ignores it, as shells do in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield threading.Timer(0.5, signal.raise_signal, (signal.SIGINT,))
    signal.signal(signal.SIGINT, before)


def test_an_answer_that_was_not_waited_for_does_not_come_to_the_next_request(
    board, artifact, ctrl_c
):
    target = board()
    session = target.load(artifact)
    ctrl_c.start()
    with pytest.raises(KeyboardInterrupt):
        target.compare(session, session, Patience(least_s=30, limit_s=60))
    assert target.board.facts().python


def test_a_board_that_hangs_is_given_up_after_the_limit(board, artifact):
    target = board(",limit=10")
    session = target.load(artifact)
    process = target.board.facts().process
    os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(RunError, match=r"board has not answered for 10 s; .* --resume"):
            session.seconds()
    finally:
        # It ended with what carried the requests, if that was seen in time.
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def test_a_board_that_never_greets_is_given_up_after_the_limit(board, stand_in):
    stand_in("exec sleep 60")
    with pytest.raises(RunError, match="board board does not answer within 1 s"):
        board(",limit=1").describe()


def test_what_login_scripts_print_is_passed_over(board, stand_in):
    stand_in("echo Welcome; echo 'It is Monday'")
    assert "onnxruntime" in board().describe().runtime


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (
            "echo 'ssh: connect to host board port 22: Connection refused' >&2; exit 255",
            r"board board cannot be used \(ssh ended with 255\): .*Connection refused",
        ),
        (
            "command=/no/such/python",
            "board board has no such Python.*; name one that is there: ssh:board,python=PATH",
        ),
    ],
)
def test_a_board_that_cannot_be_reached_says_why(board, stand_in, before, said):
    stand_in(before)
    with pytest.raises(RunError, match=said):
        board().describe()


def test_without_ssh_it_is_said_what_to_install(board, stand_in, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackageError, match="the program ssh does not exist"):
        board().describe()


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (
            "raise ImportError('no libgomp')",
            r"onnxruntime cannot be imported on board board \(no libgomp\); run: ssh board .* -m "
            "pip install onnxruntime",
        ),
        (
            "__version__ = '1.17.3'",
            "board board has onnxruntime 1.17.3; at least 1.20 is needed; run: ssh board .* -m "
            "pip install --upgrade onnxruntime",
        ),
    ],
)
def test_a_runtime_that_is_missing_or_too_old_is_named_with_a_remedy(
    board, stand_in, tmp_path, module, said
):
    (tmp_path / "onnxruntime.py").write_text(module)
    stand_in(f"export PYTHONPATH={tmp_path}")
    with pytest.raises(MissingPackageError, match=said):
        board().describe()


def test_cores_that_a_board_lacks_are_refused(board):
    with pytest.raises(UsageError, match=r"board board: cores are \[4000\]; allowed are 0"):
        board(",cores=4000").describe()


def test_a_disk_that_is_full_is_named_and_nothing_half_is_kept(board, stand_in, artifact, tmp_path):
    # files of at most 16 blocks of 512 bytes
    stand_in("ulimit -f 16")
    with pytest.raises(RunError, match=r"board board cannot keep a file of .* MB: .*; free some"):
        board().load(artifact)
    assert not list((tmp_path / "cache/sartor/board").iterdir())


def test_a_file_that_is_no_network_is_refused_and_the_board_goes_on(board, tmp_path, artifact):
    target = board()
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"nothing")
    with pytest.raises(RunError, match=r"cannot load .*broken.onnx with onnxruntime"):
        target.load(path)
    assert target.load(artifact).seconds() > 0


def test_outputs_of_a_wrong_input_are_refused_with_what_the_runtime_says(board, artifact):
    session = board().load(artifact)
    with pytest.raises(RunError, match=r"cannot run .*a.onnx with onnxruntime .*: .*rank"):
        session.run([np.zeros(3, np.float32)])


def test_where_ssh_is_killed_the_board_ends_what_it_does(behind_sshd):
    process = behind_sshd.board.facts().process
    ssh = behind_sshd.board._channel._process
    ssh.kill()
    with pytest.raises(RunError, match=r"board does not answer any more \(ssh ended with -9\)"):
        behind_sshd.describe()
    gone = subprocess.run(["tail", f"--pid={process}", "-f", "/dev/null"], timeout=10, check=False)
    assert gone.returncode == 0


def test_a_key_that_the_board_does_not_know_is_said_so(behind_sshd, sshd):
    config = sshd.parent / "ssh_config"
    known = config.read_text()
    config.write_text(known.replace(f"{sshd.parent}/user", f"{sshd.parent}/host"))
    try:
        with pytest.raises(RunError, match=r"ssh ended with 255\): .*Permission denied"):
            behind_sshd.describe()
    finally:
        config.write_text(known)


def test_nothing_of_a_target_that_is_not_used_any_more_is_left_on_the_board(board):
    target = board()
    process = target.board.facts().process
    del target
    gone = subprocess.run(["tail", f"--pid={process}", "-f", "/dev/null"], timeout=10, check=False)
    assert gone.returncode == 0
