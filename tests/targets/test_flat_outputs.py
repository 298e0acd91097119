"""Networks may return anything that holds tensors; exported files hold them in order."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sartor.graph import trace
from sartor.targets import OnnxRuntimeTarget, write_onnx
from sartor.tasks import first_tensor


@dataclass
class Answer:
    logits: Tensor
    near: Tensor | None = None


class Heads(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten())
        self.logits, self.near = nn.Linear(32, 3), nn.Linear(32, 2)
        self.answer = answer

    def forward(self, x):
        hidden = self.body(x)
        return self.answer(self.logits(hidden), self.near(hidden))


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        (lambda a, b: a, ["output"]),
        (lambda a, b: (a, b), ["output_0", "output_1"]),
        (lambda a, b: [a, (b,)], ["output_0", "output_1"]),
        (lambda a, b: {"logits": a, "aux": {"near": b}}, ["logits", "near"]),
        (lambda a, b: {"logits": a, "1st": b}, ["logits", "output_1"]),
        (lambda a, b: {"input": a, "b": b}, ["output_0", "b"]),
        (Answer, ["logits", "near"]),
        (lambda a, b: Answer(a), ["output"]),
        (lambda a, b: {"all": Answer(a, b)}, ["logits", "near"]),
    ],
)
def test_what_is_nested_is_exported_in_order(answer, names, tmp_path):
    network = Heads(answer).eval()
    images = torch.rand(3, 1, 4, 4)
    traced = trace(network, images[:1])
    assert [group.name for group in traced.groups] == ["body.0"]
    assert traced.unknown_operators == ()
    assert all(item.reason == "network output" for item in traced.kept_whole)
    wanted = first_tensor(network(images))
    assert torch.equal(first_tensor(traced.module(images)), wanted)

    path = write_onnx(traced.module, (images[:1],), tmp_path / "net.onnx", dynamic_batch=True)
    session = OnnxRuntimeTarget().load(path)
    assert [item.name for item in session.session.get_outputs()] == names
    found = session.run([images.numpy()])
    assert np.allclose(found[0], wanted.detach().numpy(), atol=1e-5)
    assert all(len(item) == 3 for item in found)
