"""What is known of a network's inputs without being told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from torch import nn

from sartor.data import Preprocessing
from sartor.models.libraries import library_of
from sartor.models.preprocessing._metadata import of_weights
from sartor.models.preprocessing._reading import read_preprocessing
from sartor.models.preprocessing._registry import READERS


def known_preprocessing(
    model: nn.Module | str, weights: str | Path | None = None, *, pretrained: bool = False
) -> Preprocessing:
    """How the inputs of a network are made, as far as its weights or its library say.

    The weights' metadata is asked first, then a network that carries its own configuration, as
    those of timm do, or the library of a name. Networks of a library that are not ``pretrained``
    may have been trained at any size, so that only mean and standard deviation are taken.

    >>> known_preprocessing("resnet20").describe()
    'size as stored (none: inputs are in [0, 1])'
    """
    found = None if weights is None else of_weights(Path(weights))
    if found is not None:
        return found

    found = _of_network(model)
    if found is None:
        return Preprocessing()
    if pretrained:
        return found
    return dataclasses.replace(
        found, resize=None, crop=None, origin=f"{found.origin}, but for the size"
    )


def _of_network(model: nn.Module | str) -> Preprocessing | None:
    configuration: object = model
    if isinstance(model, str):
        library = library_of(model)
        _, _, name = model.partition(":")
        configuration = None if library is None else library.configuration(name)

    for kind in READERS:
        reader = READERS.get(kind)
        if reader.recognises(configuration):
            return read_preprocessing(configuration)
    return None
