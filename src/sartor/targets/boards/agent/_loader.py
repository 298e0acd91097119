"""The first that a board is sent: lets Python import the rest, which comes behind it as text."""

import importlib
import importlib.abc
import importlib.util
import json
import sys
from importlib.machinery import ModuleSpec

#: Older ones have none of the runtimes that are new enough.
_LEAST = (3, 10)


class _Streamed(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Modules by the text that was sent of them, and empty packages around them."""

    def __init__(self, sources: "dict[str, str]") -> None:
        self._sources = sources

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> "ModuleSpec | None":
        """Of what was sent; whatever else is imported is found as ever."""
        is_known = any(f"{name}.".startswith(f"{fullname}.") for name in self._sources)
        return importlib.util.spec_from_loader(fullname, self) if is_known else None

    def get_source(self, fullname: str) -> str:
        """As it was sent."""
        return self._sources.get(fullname, "")

    def is_package(self, fullname: str) -> bool:
        """Only modules have a text."""
        return fullname not in self._sources


def _serve() -> None:
    """Read all modules, a line of JSON, and start the one that serves."""
    if sys.version_info < _LEAST:
        sys.exit(f"Python {sys.version.split()[0]} is too old; 3.10 is needed")
    sent = json.loads(sys.stdin.buffer.readline())
    sys.meta_path.insert(0, _Streamed(sent["sources"]))
    importlib.import_module(sent["serves"]).main()


if __name__ == "__main__":
    _serve()
