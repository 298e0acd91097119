"""Labels of channels, the sets they are merged into, and the twins of tensors that hold them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sartor.machine import IntArray

#: Label of an element that carries no channel (padding, a constant).
NEUTRAL = 0
#: Above all labels.
_SHIFT = 2**31


class Labels:
    """Union-find over channel labels; a label may be pinned (never removed), with a reason."""

    def __init__(self) -> None:
        self._parent: list[int] = [NEUTRAL]
        self._reason: dict[int, str] = {}
        #: Where labels that were made together begin.
        self._starts: list[int] = [NEUTRAL]

    def __len__(self) -> int:
        """Number of labels ever made."""
        return len(self._parent)

    def fresh(self, count: int) -> IntArray:
        """``count`` new labels."""
        start = len(self._parent)
        self._starts.append(start)
        self._parent.extend(range(start, start + count))
        return np.arange(start, start + count, dtype=np.int64)

    def fresh_pinned(self, count: int, reason: str) -> IntArray:
        """``count`` new labels that are never removed."""
        labels = self.fresh(count)
        self.pin(labels, reason)
        return labels

    def find(self, label: int) -> int:
        """The label that stands for all labels merged with this one."""
        parent = self._parent
        root = label
        while parent[root] != root:
            root = parent[root]

        # Let all labels on the way point to the root, so that later searches are short.
        while parent[label] != root:
            above = parent[label]
            parent[label] = root
            label = above

        return root

    def roots(self, labels: IntArray) -> IntArray:
        """`find` of every label of an array of any shape."""
        distinct, places = np.unique(labels, return_inverse=True)
        found = [self.find(label) for label in distinct.tolist()]
        return np.array(found, dtype=np.int64)[places].reshape(labels.shape)

    def origin(self, label: int) -> int:
        """The first of the labels that were made together with this one."""
        return self._starts[bisect_right(self._starts, label) - 1]

    def merge_all(self, a: IntArray, b: IntArray) -> None:
        """Merge two arrays of labels element by element; what carries no channel stays apart."""
        for left, right in zip(a.tolist(), b.tolist(), strict=True):
            if NEUTRAL not in (left, right):
                self.merge(left, right)

    def merge(self, a: int, b: int) -> None:
        """Make two channels one unit; pinned if either is."""
        roots = [self.find(a), self.find(b)]
        low = min(roots)
        high = max(roots)
        if low in (high, NEUTRAL):
            return

        # The lower label stands for both, whichever came first: units are numbered by it.
        self._parent[high] = low
        if high in self._reason:
            reason = self._reason.pop(high)
            self._reason.setdefault(low, reason)

    def pin(self, labels: IntArray, reason: str) -> None:
        """Never remove these channels."""
        for label in np.unique(labels).tolist():
            if label != NEUTRAL:
                root = self.find(label)
                self._reason.setdefault(root, reason)

    def reason(self, label: int) -> str | None:
        """Why a label is pinned; None if it is not."""
        return self._reason.get(self.find(label))


def along(labels: Labels, twin: Tensor, dim: int) -> IntArray | None:
    """Label of each index of ``dim``, or None if channels vary along other axes too.

    Padding does not count, nor does which of several merged labels it is.
    """
    if twin.dim() == 0 or twin.dim() < abs(dim):
        return None

    axis = dim % twin.dim()
    rows = _rows(labels, twin, axis)

    # Padding is 0, below every label.
    label = rows.max(1, keepdims=True, initial=NEUTRAL)
    agrees = (rows == label) | (rows == NEUTRAL)
    if not agrees.all():
        return None
    return label[:, 0]


def tied_along(labels: Labels, twin: Tensor, dim: int) -> IntArray | None:
    """Label of each index of ``dim``, where all that an index has is made one unit.

    None where channels do not vary along that axis, but along others.
    """
    found = along(labels, twin, dim)
    if found is not None:
        return found

    rows = _rows(labels, twin, dim % twin.dim())
    if (rows == rows[:1]).all():
        return None
    for row in rows:
        present = row[row != NEUTRAL]
        if len(present):
            labels.merge_all(np.full_like(present, present[0]), present)
    return along(labels, twin, dim)


def tie_within(labels: Labels, twin: Tensor, dims: Sequence[int]) -> bool:
    """Make one unit of what lies along some axes, where channels vary along others too.

    Gives whether they do.
    """
    varying = set(varying_axes(labels, twin))
    tied = varying & {dim % twin.dim() for dim in dims}
    if not tied or tied == varying:
        return False

    for dim in tied:
        first = twin.narrow(dim, 0, 1).expand_as(twin)
        for left, right in distinct_pairs(first, twin):
            labels.merge(left, right)
    return True


def varying_axes(labels: Labels, twin: Tensor) -> list[int]:
    """Axes along which the channels of a twin are not the same throughout."""
    short = compact(twin)
    return _axes_of(labels.roots(short.numpy().astype(np.int64)))


def removable_axes(labels: Labels, twin: Tensor) -> list[int]:
    """The same for what is not pinned: pinned channels count as one."""
    short = compact(twin)
    roots = labels.roots(short.numpy().astype(np.int64))
    pinned = [root for root in np.unique(roots).tolist() if labels.reason(root) is not None]
    return _axes_of(np.where(np.isin(roots, pinned), NEUTRAL, roots))


def _axes_of(roots: IntArray) -> list[int]:
    found = []
    for dim in range(roots.ndim):
        first = roots.take([0], dim)
        if not (roots == first).all():
            found.append(dim)
    return found


def is_neutral(twin: Tensor) -> bool:
    """Whether no element carries a channel."""
    return not compact(twin).any()


def _rows(labels: Labels, twin: Tensor, axis: int) -> IntArray:
    """What stands for the labels of each index of an axis, (size of the axis, elements)."""
    short = compact(twin, keep=axis)
    others = short.numel() // max(1, short.shape[axis])
    rows = short.movedim(axis, 0).reshape(short.shape[axis], others)
    return labels.roots(rows.numpy().astype(np.int64))


def spread(channels: IntArray, shape: torch.Size, dim: int) -> Tensor:
    """Twin of ``shape`` whose labels vary along ``dim`` only; takes no memory."""
    view = [1] * len(shape)
    view[dim] = -1

    # Floats, for operators that move elements take no others; labels are exact up to 2⁵³.
    labels = torch.from_numpy(channels.astype(np.float64))
    return labels.view(view).expand(shape)


def compact(twin: Tensor, keep: int | None = None) -> Tensor:
    """The same elements without the axes along which the tensor merely repeats itself.

    But for the axis to ``keep``.
    """
    for dim in range(twin.dim()):
        if dim != keep and _repeats(twin, dim):
            twin = twin.narrow(dim, 0, 1)
    return twin


def _repeats(twin: Tensor, dim: int) -> bool:
    return twin.shape[dim] > 1 and twin.stride(dim) == 0


def distinct(twin: Tensor) -> IntArray:
    """All labels of a twin, each once."""
    return np.unique(compact(twin).numpy()).astype(np.int64)


def distinct_pairs(a: Tensor, b: Tensor) -> list[tuple[int, int]]:
    """All pairs of labels that two twins of one shape have in one place, each once."""
    for dim in range(a.dim()):
        if _repeats(a, dim) and _repeats(b, dim):
            a = a.narrow(dim, 0, 1)
            b = b.narrow(dim, 0, 1)

    first = _flat(a)
    second = _flat(b)

    # Both in one number, so that pairs are sorted as numbers are.
    pairs = np.unique(first * _SHIFT + second)
    return [divmod(pair, _SHIFT) for pair in pairs.tolist()]


def _flat(twin: Tensor) -> IntArray:
    labels = twin.numpy().astype(np.int64)
    return labels.ravel()
