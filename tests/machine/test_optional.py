"""Packages that are not installed: what works without them, and which extra brings them."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sartor
from sartor import data, demo, targets
from sartor.errors import MissingPackageError
from sartor.export import export
from sartor.finetune import FinetuneOptions, finetune
from sartor.graph import trace
from sartor.machine import require
from sartor.targets._quiet import quiet
from sartor.track import trackers

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def test_the_core_needs_at_most_eight_packages():
    assert len(PROJECT["dependencies"]) <= 8


#: Blocks, by name, every package that only an extra brings.
BLOCKING = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Blocked())
"""
EXTRA_PACKAGES = (
    *("tyro", "rich", "pyarrow", "PIL", "sklearn", "altair", "jinja2", "markupsafe", "vl_convert"),
    *("cmaes", "psutil", "onnx", "onnxruntime", "openvino", "executorch", "torchao", "accelerate"),
    *("tensorboard", "mlflow", "alembic", "sqlalchemy", "timm", "matplotlib"),
)

SEARCH = """
import torch
import sartor
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4)
)
images = sartor.Images(torch.randn(32, 1, 8, 8), torch.arange(32) % 4)
data = sartor.Data(images, images, None)
options = sartor.SearchOptions(episodes=2, finalists=1)
result = sartor.compress(model, data, budget="macs<=60%", options=options)
print(result.report.best.ratio.macs <= 0.6)
"""


def in_a_process(program, *names):
    blocked = BLOCKING.format(names=names) + program
    return subprocess.run(
        [sys.executable, "-c", blocked], capture_output=True, text=True, check=False
    )


def test_a_search_needs_none_of_the_extras():
    done = in_a_process(SEARCH, *EXTRA_PACKAGES)
    assert done.stdout == "True\n", done.stderr


@pytest.mark.parametrize("package", ["tyro", "rich"])
def test_the_command_without_its_packages_says_how_to_install_them(package):
    done = in_a_process("from sartor.cli import main; main(['--help'])", package)
    assert done.returncode == 2
    assert done.stderr.startswith(f"sartor: {package} is needed for this and cannot be imported (")
    assert done.stderr.endswith("run: pip install 'sartor[cli]'\n")
    done = in_a_process("from sartor.cli import main; main(['--version'])", package)
    assert done.stdout.startswith("sartor 0.")


def parquet_folder(folder):
    (folder / "train.parquet").touch()
    return folder


def image_folder(folder):
    for split in ("train", "test"):
        (folder / split / "a").mkdir(parents=True)
        (folder / split / "a/1.png").write_bytes(b"PNG")
    return folder


def traced():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    images = torch.zeros(1, 1, 8, 8)
    return trace(network, images).module, (images,)


def export_onnx(folder):
    network, inputs = traced()
    export(network, inputs, folder / "model.onnx", "onnx", metadata={})


def train(folder):
    network, (image,) = traced()
    images = sartor.Images(image, torch.zeros(1, dtype=torch.long))
    options = FinetuneOptions(epochs=1)
    finetune(network, images, images, policy=sartor.Policy(), teacher=network, options=options)


def search_with(agent):
    def search(folder):
        images = data.load("digits", calibration=32)
        options = sartor.SearchOptions(agent=agent, episodes=2, seed_with=(), anyway=True)
        sartor.compress(demo.DigitsNet(), images, options=options)

    return search


#: Package as it is imported → the extra that brings it, and what needs it.
NEEDED = {
    "pyarrow": ("data", lambda folder: data.load(str(parquet_folder(folder)), calibration=1)),
    "PIL": ("data", lambda folder: data.load(str(image_folder(folder)), calibration=1)),
    "sklearn": ("data", lambda folder: data.load("digits", calibration=1)),
    "cmaes": ("agents", search_with("cma-es")),
    "onnx": ("onnxruntime", export_onnx),
    "onnxruntime": ("onnxruntime", lambda folder: targets.make("onnxruntime")),
    "openvino": ("openvino", lambda folder: targets.make("openvino")),
    "executorch": ("executorch", lambda folder: targets.make("executorch")),
    "accelerate": ("train", train),
    "timm": ("timm", lambda folder: sartor.models.build("timm:resnet18", classes=2, pixels=8)),
    "tensorboard": ("tensorboard", lambda folder: trackers(["tensorboard"], folder).__enter__()),
    "mlflow": ("mlflow", lambda folder: trackers(["mlflow"], folder).__enter__()),
}


@pytest.mark.parametrize("package", NEEDED)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(package, tmp_path, monkeypatch):
    extra, use = NEEDED[package]
    for name in list(sys.modules):
        if name.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError) as raised:
        use(tmp_path)
    sentence = str(raised.value)
    assert sentence.startswith(f"{package} is needed for this and cannot be imported (")
    assert sentence.endswith(f"run: pip install 'sartor[{extra}]'")
    assert extra in PROJECT["optional-dependencies"]


def test_a_module_that_is_there_is_returned():
    assert require("numpy.linalg", extra="cli") is np.linalg


def test_an_inner_module_is_named_by_its_package():
    with pytest.raises(MissingPackageError, match=r"^numpy is needed .*'numpy\.no_such'"):
        require("numpy.no_such", extra="cli")


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are not chosen here")
def test_latency_is_measured_with_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    with pytest.raises(MissingPackageError, match=r"^psutil is .*'sartor\[latency\]'$"):
        quiet().__enter__()
