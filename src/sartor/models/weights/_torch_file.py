"""Weights as files of ``torch.save``: read without running what they hold."""

from __future__ import annotations

import argparse
import pathlib
import pickle
import pickletools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from sartor.errors import WeightsError

#: How such files begin: as a zip archive, or as a pickle, which was usual before torch 1.6.
_BEGINNINGS = (b"PK\x03\x04", b"\x80")

#: What NumPy pickles a number as a call of; it had another name before NumPy 2.
_MAKE_SCALAR = cast("Callable[..., Any]", np.float64(0).__reduce__()[0])

#: What training scripts put beside the weights and what does nothing when it is read: their
#: options, paths, and the best accuracy so far as a number of NumPy.
_HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    argparse.Namespace,
    pathlib.PosixPath,
    pathlib.PurePosixPath,
    _MAKE_SCALAR,
    (_MAKE_SCALAR, "numpy.core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float32DType,
    np.dtypes.Float64DType,
    np.dtypes.Int64DType,
]


def is_torch_file(path: Path) -> bool:
    """Whether ``torch.save`` wrote a file, by how it begins."""
    with path.open("rb") as file:
        beginning = file.read(4)
    return beginning.startswith(_BEGINNINGS)


def read_content(path: Path) -> object:
    """What a file holds: tensors, numbers, words, and containers of these.

    Raises `WeightsError` for one that holds more, with the line of Python that converts it, and for
    one that is torn.
    """
    try:
        names = _names_in(path)
        if any(name.endswith("/constants.pkl") for name in names):
            raise _needs_conversion(path, "a TorchScript network", "torch.jit.load({})")
        with torch.serialization.safe_globals(_HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _needs_conversion(path, _culprit(path)) from error
    except WeightsError:
        raise
    except Exception as error:  # torch raises many kinds
        first_sentence = str(error).partition(". ")[0]
        raise WeightsError(
            f"weights {str(path)!r} cannot be read as a file of torch.save: {first_sentence}"
        ) from error


def _names_in(path: Path) -> list[str]:
    """Files in a zip archive; none in files of the old layout."""
    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def _culprit(path: Path) -> str:
    """What a file holds that is more than tensors, in words."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # a file of the old layout
        names = []
    return f"objects of Python ({names[0]})" if names else "objects of Python"


def _is_mapping(path: Path) -> bool:
    """Whether the outermost object is a dictionary; nothing of the file is run to tell."""
    pickles = [name for name in _names_in(path) if name.endswith("/data.pkl")]
    if not pickles:
        return False
    with zipfile.ZipFile(path) as archive:
        content = archive.read(pickles[0])
    outermost, *_ = (
        code.name for code, _, _ in pickletools.genops(content) if code.name != "PROTO"
    )
    return outermost == "EMPTY_DICT"


def _needs_conversion(
    path: Path, holds: str, load: str = "torch.load({}, weights_only=False)"
) -> WeightsError:
    loaded = load.format(repr(str(path)))
    weights = f"{loaded}.state_dict()"
    if _is_mapping(path):
        # Networks as their weights, weights as they are; whatever else is left out.
        weights = (
            "{k: v.state_dict() if hasattr(v, 'state_dict') else v "
            f"for k, v in {loaded}.items() if hasattr(v, 'state_dict') or 'state_dict' in k}}"
        )

    converted = str(path.with_name(f"{path.stem}-weights.pt"))
    return WeightsError(
        f"weights {str(path)!r} hold {holds}, not tensors alone, and reading them could run any "
        "program; if you trust where they come from, convert them in Python with "
        f"import torch; torch.save({weights}, {converted!r})"
    )
