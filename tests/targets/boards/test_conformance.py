import os

import numpy as np
import pytest

from sartor import targets
from sartor.compression import fold
from sartor.targets import TargetOptions
from sartor.testing import TargetConformance, example_network


class TestOnnxRuntimeOnABoard(TargetConformance):
    @pytest.fixture
    def target(self, board):
        return board(",runtime=onnxruntime")


class TestOpenVinoOnABoard(TargetConformance):
    @pytest.fixture
    def target(self, board):
        return board(",runtime=openvino")


class TestBehindSshd(TargetConformance):
    @pytest.fixture
    def target(self, behind_sshd):
        return behind_sshd


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_board_answers_as_its_runtime_does_here(board, tmp_path, runtime):
    here = targets.make(runtime)
    there = board(f",runtime={runtime}")
    network, images = example_network()
    artifact = there.build(fold(network.module), (images[:1],), tmp_path / "a.onnx")
    (expected,) = here.load(artifact).run([images.numpy()])
    (found,) = there.load(artifact).run([images.numpy()])
    assert np.array_equal(found, expected)
    assert there.describe().runtime in here.describe().runtime


def test_threads_batch_and_cores_are_those_that_are_asked_for(board, tmp_path):
    core = min(os.sched_getaffinity(0))
    target = board(f",cores={core}", threads=2, batch=3)
    described = target.describe()
    assert (described.threads, described.batch) == (2, 3)
    assert described.device.endswith(f", core {core}")
    assert target.board.facts().cores == (core,)

    network, images = example_network()
    artifact = target.build(fold(network.module), (images[:3],), tmp_path / "a.onnx")
    session = target.load(artifact)
    assert session.network["timed"] == 3
    assert session.seconds() > 0


def test_options_say_where_it_is_behind_a_colon(stand_in):
    target = targets.make("ssh:pi,runtime=openvino", TargetOptions(batch=2))
    assert (target.place.host, target.place.runtime, target.batch) == ("pi", "openvino", 2)
