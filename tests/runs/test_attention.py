"""A whole compression of networks with norms and attention: refitted, and written as ONNX."""

import pytest
import torch

import tokens
from sartor import Data, Images, SearchOptions, compress
from sartor.targets import write_onnx

NAMES = [name for name in tokens.ALL if name not in ("words", "image")]


# Of scipy, where two candidates are as good as each other on every image.
@pytest.mark.filterwarnings("ignore:Precision loss occurred")
@pytest.mark.parametrize("name", NAMES)
def test_a_search_meets_its_budget_and_what_it_finds_is_exported(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    model = tokens.ALL[name]().eval()
    x = tokens.example(name, batch=64)
    with torch.no_grad():
        labels = model(x).argmax(1)
    images = Images(x, labels)
    options = SearchOptions(episodes=2, seed_with=("uniform",), finalists=1, baselines=())
    result = compress(model, Data(images, images), budget="macs<=50%", options=options)
    assert 0.3 < result.report["best"]["ratio"]["macs"] <= 0.5

    given = images.normalized()[:2]
    path = write_onnx(result.model, (given,), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(path))
    (written,) = session.run(None, {session.get_inputs()[0].name: given.numpy()})
    with torch.no_grad():
        computed = result.model(given)
    torch.testing.assert_close(torch.from_numpy(written), computed, rtol=1e-3, atol=1e-5)
