"""A whole search on a board: killed in the middle, gone on with, exported and verified there."""

import os
import signal
import sys

import pytest

from sartor.cli import main
from sartor.errors import RunError
from sartor.pipeline import SearchOptions
from sartor.runs import Run, RunConfig
from sartor.search import EpisodeScored


def config(weights, folder):
    options = SearchOptions(
        target=f"ssh:board,python={sys.executable}",
        methods=("prune", "quantize"),
        episodes=6,
        agent="random",
        finalists=1,
        repair="fit",
        baselines=(),
        reward_images=100,
        rough=True,
    )
    return RunConfig(
        model="sartor.demo:DigitsNet",
        weights=weights,
        data="digits",
        budget="macs<=60%",
        out=folder,
        options=options,
    )


@pytest.fixture
def killed(stand_in, weights, tmp_path):
    """Folder of a search whose board was killed after the third episode."""
    written = tmp_path / "process"
    stand_in(f"echo $$ > {written}")

    def progress(event):
        if isinstance(event, EpisodeScored) and event.episode.number == 2:
            os.killpg(int(written.read_text()), signal.SIGKILL)

    folder = tmp_path / "run"
    with pytest.raises(RunError, match=r"board board does not answer any more .* --resume"):
        Run.of(config(weights, folder)).search(progress)
    return folder


def test_a_search_whose_board_died_goes_on_where_it_was_and_is_verified_there(
    killed, weights, tmp_path
):
    assert [episode.number for episode in Run(killed).episodes] == [0, 1, 2]
    Run(killed).search(resume=True)
    whole = Run.of(config(weights, tmp_path / "whole"))
    whole.search()

    run = Run(killed)
    executed = [episode.executed for episode in run.episodes]
    assert executed == [episode.executed for episode in whole.episodes]

    run.export("onnx")
    verified = run.verify("onnx")
    assert verified.found.accuracy == pytest.approx(run.result.best.test, abs=0.01)
    assert verified.found.runtime.startswith("onnxruntime")
    assert verified.found.peak_memory_bytes is None


def test_the_command_line_says_what_a_board_can_do(stand_in, tmp_path, capsys):
    (tmp_path / "openvino.py").write_text("raise ImportError")
    stand_in(f"export PYTHONPATH={tmp_path}")
    main(["targets", "--on", f"ssh:board,python={sys.executable}"])
    said = capsys.readouterr().out
    there = f"ssh:board,runtime=onnxruntime,python={sys.executable}"
    assert f"measure there with: --target {there}" in said
    missing = f"openvino is missing there; run: ssh board {sys.executable} -m pip install openvino"
    assert missing in said


def test_the_command_line_looks_at_boards_only(capsys):
    with pytest.raises(SystemExit):
        main(["targets", "--on", "onnxruntime"])
    said = capsys.readouterr().err
    assert "--on is 'onnxruntime'; it must name a board, such as ssh:pi" in said
