"""Names of a file's tensors, fitted onto those of a network."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

#: What DataParallel and torch.compile put before the names of what they wrap, wherever it stands.
_WRAPPERS = ("module", "_orig_mod")
#: A buffer of batch norms that files may leave out, or have when the network does not.
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Fit:
    """Names that match a network.

    Attributes:
        names: One for each name in the file, in the same order.
        stripped: What was taken off them, from the outside in.
    """

    names: tuple[str, ...]
    stripped: tuple[str, ...] = ()


def fit_names(
    given: Sequence[str], expected: Collection[str], optional: Collection[str] = ()
) -> Fit | None:
    """Names without the prefixes that keep them from matching a network; None if none help.

    Taken off are what wrappers add, and what all names begin with. Names that are ``optional`` may
    be missing.

    >>> fit_names(["module.net.conv.weight"], ["conv.weight"])
    Fit(names=('conv.weight',), stripped=('module.', 'net.'))
    >>> fit_names(["conv.weight"], ["conv.weight"]).stripped
    ()
    >>> fit_names(["stem.weight"], ["conv.weight"]) is None
    True
    """
    found = _without_heads(Fit(tuple(given)), expected, optional)
    if found is not None:
        return found

    for wrapper in _WRAPPERS:
        names = tuple(_without_part(name, wrapper) for name in given)
        if names == tuple(given):
            continue
        # Two wrappers may stand in one name.
        inner = fit_names(names, expected, optional)
        if inner is not None:
            return Fit(inner.names, (f"{wrapper}.", *inner.stripped))
    return None


def differing(these: Iterable[str], others: Iterable[str]) -> list[str]:
    """Those of ``these`` that are not among ``others``, counters aside, in their order."""
    known = set(others)
    return [name for name in these if name not in known and not name.endswith(COUNTER)]


def nearest_prefix(given: Sequence[str], expected: Sequence[str]) -> str:
    """What prefix would make most names match, as the end of a sentence; empty if none does.

    >>> nearest_prefix(["a.body.x", "a.body.y", "loss.w"], ["x", "y", "head"])
    "; without the prefix 'a.body.', 2 of 3 would match"
    >>> nearest_prefix(["x", "y"], ["body.x", "body.y", "head"])
    "; with the prefix 'body.' before them, 2 of 3 would match"
    """
    wanted = set(expected)
    best = ""
    most = len(wanted.intersection(given))
    for prefix in _heads(given):
        shorter = {name.removeprefix(prefix) for name in given if name.startswith(prefix)}
        count = len(wanted & shorter)
        if count > most:
            most = count
            best = f"without the prefix {prefix!r}"

    for prefix in _heads(expected):
        longer = {prefix + name for name in given}
        count = len(wanted & longer)
        if count > most:
            most = count
            best = f"with the prefix {prefix!r} before them"
    return f"; {best}, {most} of {len(wanted)} would match" if best else ""


def _without_heads(fit: Fit, expected: Collection[str], optional: Collection[str]) -> Fit | None:
    """A fit whose names all had the same beginnings taken off until they match."""
    while not _match(fit.names, expected, optional):
        heads = {name.partition(".")[0] for name in fit.names}
        have_more = all("." in name for name in fit.names)
        if len(heads) != 1 or not have_more:
            return None

        head = f"{heads.pop()}."
        shorter = tuple(name.removeprefix(head) for name in fit.names)
        fit = Fit(shorter, (*fit.stripped, head))
    return fit


def _match(given: Sequence[str], expected: Collection[str], optional: Collection[str]) -> bool:
    lacking = differing(expected, [*given, *optional])
    return not lacking and not differing(given, expected)


def _without_part(name: str, part: str) -> str:
    parts = [each for each in name.split(".") if each != part]
    return ".".join(parts)


def _heads(names: Iterable[str]) -> list[str]:
    """All beginnings of names that end with a dot, each once."""
    found: dict[str, None] = {}
    for name in names:
        parts = name.split(".")[:-1]
        for count in range(1, len(parts) + 1):
            head = ".".join(parts[:count])
            found[f"{head}."] = None
    return list(found)
