"""The first that a board is sent: makes modules of the rest, which comes behind it as text."""

import importlib.abc
import importlib.util
import json
import sys


class _Streamed(importlib.abc.InspectLoader):
    """A module whose source was sent."""

    def __init__(self, source: str) -> None:
        self._source = source

    def get_source(self, fullname: str) -> str:
        """As it was sent."""
        return self._source


def _load_all() -> None:
    """Modules in the order in which they need each other; the last one serves.

    They keep their full names: what they import of each other is then there already.
    """
    stream = sys.stdin.buffer
    parts = json.loads(stream.readline())
    for name, source in parts:
        loader = _Streamed(source)
        spec = importlib.util.spec_from_loader(name, loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        loader.exec_module(module)
    last, _ = parts[-1]
    sys.modules[last].main()


if __name__ == "__main__":
    _load_all()
