"""Messages between a board and who measures on it: a line of JSON, then bytes as they are."""

from __future__ import annotations

import json
from typing import IO, Any

#: The line with which a board begins, after whatever its login scripts print.
GREETING = b"sartor board 1\n"


def write(stream: IO[bytes], head: dict[str, Any], body: bytes = b"") -> None:
    """Send one message."""
    line = json.dumps({**head, "bytes": len(body)})
    stream.write(line.encode() + b"\n")
    stream.write(body)
    stream.flush()


def read(stream: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """The next message. Raises `EOFError` at the end of the stream, within a message too.

    >>> import io
    >>> stream = io.BytesIO()
    >>> write(stream, {"do": "keep"}, b"abc")
    >>> _ = stream.seek(0)
    >>> read(stream)
    ({'do': 'keep'}, b'abc')
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError("the stream ended")

    head = json.loads(line)
    count = head.pop("bytes")
    body = stream.read(count)
    if len(body) < count:
        raise EOFError("the stream ended within a message")
    return head, body
