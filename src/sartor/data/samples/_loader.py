"""torch's DataLoader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, Subset

from sartor.data._source import Sample
from sartor.data.samples._object import ObjectSamples, names_on
from sartor.data.samples._pairs import pair_of, unbatched

#: Samples per batch where the loader does not say it.
_BATCH = 64


class LoaderSamples(ObjectSamples):
    """The data set of a `DataLoader`, in its own order, collated as the loader does it.

    How the loader draws and shuffles plays no part, so that the same seed chooses the same samples
    of a loader, of its data set and of a folder; only what its sampler leaves out stays out.
    """

    def __init__(self, value: Any, place: str) -> None:
        super().__init__(value, place)
        self.classes = names_on(value.dataset)
        chosen = getattr(value.sampler, "indices", None)
        self._chosen = None if chosen is None else sorted(int(number) for number in chosen)

    @staticmethod
    def recognises(value: Any) -> bool:
        """Whether it is one that reads samples by their numbers."""
        return isinstance(value, DataLoader) and not isinstance(value.dataset, IterableDataset)

    def __len__(self) -> int:
        return len(self.value.dataset) if self._chosen is None else len(self._chosen)

    def read(self, numbers: Sequence[int]) -> Iterator[Sample]:
        at = iter(numbers)
        for batch in self._reader(numbers):
            for image, label in self._samples_in(batch):
                yield Sample(image, label, f"item {next(at)} of {self.place}")

    def _samples_in(self, batch: Any) -> Iterator[tuple[Any, Any]]:
        inputs, targets = pair_of(batch, self.place)
        # Without a batch size, a loader gives single items.
        if self.value.batch_sampler is None:
            yield inputs, targets
        else:
            yield from unbatched(inputs, targets, self.place)

    def _reader(self, numbers: Sequence[int]) -> DataLoader[Any]:
        """A loader like the given one, for some samples in their order."""
        given = self.value
        rows = numbers if self._chosen is None else [self._chosen[number] for number in numbers]
        batch = None if given.batch_sampler is None else given.batch_size or _BATCH
        return DataLoader(
            Subset(given.dataset, rows),
            batch_size=batch,
            collate_fn=given.collate_fn,
            num_workers=given.num_workers,
            worker_init_fn=given.worker_init_fn,
            multiprocessing_context=given.multiprocessing_context,
            # Its own: a loader draws a number whenever it begins.
            generator=torch.Generator().manual_seed(0),
        )
