"""What a format cannot express, said in a sentence."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from sartor.errors import RunError

_END = re.compile(r"\.\s|\n")


@contextmanager
def exporter_errors(form: str) -> Iterator[None]:
    """Exporters raise whatever they like: all of it becomes a `RunError` with the first sentence of what they say."""
    disabled = logging.root.manager.disable
    logging.disable()  # of tracebacks, before they raise
    try:
        yield
    except Exception as error:
        reason = _END.split(str(error).strip())[0] or type(error).__name__
        raise RunError(f"{form} cannot express the network: {reason}") from error
    finally:
        logging.disable(disabled)
