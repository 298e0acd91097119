"""What exporters and runtimes raise and print, turned into one sentence."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from sartor.errors import RunError
from sartor.graph import plain_attention

#: Where torch prints a traceback before it raises what is caught here.
_TALKATIVE = "torch._subclasses.fake_tensor"
#: Variables that say where PyTorch's compiler keeps its files, and triton, which it uses for
#: accelerators; already to import the compiler sets one.
CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
_END = re.compile(r"\.\s|\n")
#: Characters of what a runtime says that are passed on.
_MOST = 300


@contextmanager
def exporting(form: str) -> Iterator[None]:
    """Conditions under which networks are exported; whatever an exporter raises is a `RunError`.

    No gradients, and attention as the operators it consists of: the one operator that PyTorch has
    for all of it in evaluation mode is known to no format.
    """
    try:
        with torch.no_grad(), plain_attention(), _silenced(_TALKATIVE), caches_as_before():
            yield
    except RunError:
        raise
    except Exception as error:  # exporters raise whatever they like
        reason = _END.split(str(error).strip())[0] or type(error).__name__
        raise RunError(f"{form} cannot express the network: {reason}") from error


@contextmanager
def caches_as_before() -> Iterator[None]:
    """The environment then says what it said of where PyTorch's compiler keeps its files."""
    before = {name: os.environ.get(name) for name in CACHES}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def running(artifact: Path, runtime: str, what: str = "run") -> Iterator[None]:
    """Whatever a runtime raises about an artifact is a `RunError` with what it said, in a line."""
    try:
        yield
    except RunError:
        raise
    except Exception as error:  # every runtime has exceptions of its own
        said = " ".join(str(error).split()) or type(error).__name__
        raise RunError(f"{artifact} cannot be {what} by {runtime}: {said[:_MOST]}") from error


@contextmanager
def _silenced(name: str) -> Iterator[None]:
    """Without what one logger is told by this thread; other threads and other loggers go on."""
    logger = logging.getLogger(name)
    silent = threading.get_ident()

    def is_of_others(record: logging.LogRecord) -> bool:
        return record.thread != silent

    logger.addFilter(is_of_others)
    try:
        yield
    finally:
        logger.removeFilter(is_of_others)
