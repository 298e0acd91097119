"""A file of weights, whatever container it is."""

from __future__ import annotations

from pathlib import Path

from sartor.errors import WeightsError
from sartor.models.weights import _safetensors
from sartor.models.weights._checkpoint import StateDict, find_state_dict
from sartor.models.weights._torch_file import is_torch_file, read_content


def read_weights(path: str | Path) -> StateDict:
    """The tensors of a safetensors file, or of one of ``torch.save``, as they are named there.

    Nothing that such a file may hold is run. Raises `WeightsError` for one that is missing, torn,
    or no such file.
    """
    path = _existing(path)
    if is_torch_file(path):
        content = read_content(path)
        return find_state_dict(content, path)
    return StateDict(_safetensors.read_tensors(path))


def read_metadata(path: str | Path) -> dict[str, str]:
    """What a safetensors file says beside its tensors; files of ``torch.save`` say nothing.

    Raises `WeightsError` as `read_weights`.
    """
    path = _existing(path)
    return {} if is_torch_file(path) else _safetensors.read_header(path)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if path.is_dir():
        raise WeightsError(f"weights {str(path)!r} are a folder; name the file in it")
    if not path.is_file():
        raise WeightsError(
            f"weights {str(path)!r} do not exist; "
            "a .safetensors file is needed, or one of torch.save (.pt, .pth, .bin, .ckpt)"
        )
    return path
