"""Writing a network in a format that runtimes read."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, fx

from sartor.compression import deployable, tensor_identity
from sartor.errors import RunError, UsageError
from sartor.export._format import Format
from sartor.export._registry import find_format
from sartor.targets import of_batch

#: The entry of an artifact that says of which tensors it was made
#: (`sartor.compression.tensor_identity`).
NETWORK = "network"
#: Tracers take a size of 1 for a constant.
_OPEN_BATCH = 2


def export(
    network: fx.GraphModule,
    inputs: Sequence[Tensor],
    path: Path,
    form: str | Format,
    *,
    metadata: Mapping[str, str] | None = None,
    batch: int | None = None,
) -> Path:
    """Write a network; ``batch`` images run at a time, any number if it is None.

    ``inputs`` have a batch of one. ``metadata`` and an entry that says of which tensors the
    artifact was made stand inside it.

    Raises `UsageError` for an unknown format, a path of another suffix, or an open batch size in a
    format that needs one, `RunError` for a network that the format cannot express.
    """
    chosen = find_format(form)
    _require_path_and_batch(chosen, path, batch)

    identity = tensor_identity(network.state_dict())
    written = {**(metadata or {}), NETWORK: identity}
    ready = deployable(network).eval()
    sized = of_batch(inputs, batch or _OPEN_BATCH)

    try:
        chosen.write(
            ready,
            sized,
            path,
            metadata=written,
            dynamic=batch is None,
        )
    except RunError as error:
        hint = ""
        if batch is None and _can_be_written(chosen, ready, of_batch(inputs, 1)):
            hint = "; with --batch 1 it can"
        raise RunError(f"{path}: {error}{hint}") from error
    return path


def _can_be_written(form: Format, network: fx.GraphModule, inputs: Sequence[Tensor]) -> bool:
    """Whether a format holds a network for batches of a fixed size: tried, not guessed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{form.suffix}"
        try:
            form.write(network, inputs, path, metadata={}, dynamic=False)
        except RunError:
            return False
    return True


def _require_path_and_batch(form: Format, path: Path, batch: int | None) -> None:
    if not path.name.endswith(form.suffix):
        raise UsageError(f"{path}: a file of format {form.name!r} ends in {form.suffix}")

    if batch is not None and batch < 1:
        raise UsageError(f"batch is {batch}; it must be at least 1")

    if batch is None and not form.dynamic:
        raise UsageError(
            f"format {form.name!r} needs a fixed batch size; give for instance --batch 1"
        )
