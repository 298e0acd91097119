"""The agent as it is sent to a board, and the words that start it there."""

from __future__ import annotations

import json
import shlex
from importlib import resources

from sartor.targets.boards._place import Place

_AGENT = "sartor.targets.boards.agent"
#: Reads the loader from standard input. No quotes but one kind: every shell takes them alike.
_START = "import sys;b=sys.stdin.buffer;exec(b.read(int(b.readline())))"
#: The user's own configuration decides all else: keys, jump hosts, ports. Nobody is there to ask.
_OPTIONS = (
    "BatchMode=yes",
    "ConnectTimeout=20",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
)


def words(place: Place) -> list[str]:
    """The command that starts Python on a board.

    >>> words(Place("pi"))[-2:]
    ['pi', "python3 -u -c 'import sys;b=sys.stdin.buffer;exec(b.read(int(b.readline())))'"]
    """
    options = [word for option in _OPTIONS for word in ("-o", option)]
    there = [place.python, "-u", "-c", _START]
    return ["ssh", "-T", *options, "--", place.host, shlex.join(there)]


def program() -> bytes:
    """What Python then reads: the loader, and behind it all other files of the agent."""
    folder = resources.files(_AGENT)
    loader = (folder / "_loader.py").read_bytes()
    sources = {}
    for file in folder.iterdir():
        name = file.name.removesuffix(".py")
        if name != file.name and name not in ("__init__", "_loader"):
            sources[f"{_AGENT}.{name}"] = file.read_text(encoding="utf-8")

    # ASCII, so that characters are bytes whatever the board's locale is
    rest = json.dumps({"sources": sources, "serves": f"{_AGENT}._serve"}, sort_keys=True)
    return b"%d\n%s%s\n" % (len(loader), loader, rest.encode("ascii"))
