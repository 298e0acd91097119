"""Peak memory and seconds of a search on a folder of 6,000 PNGs of 32 pixels.

    python bench/memory.py --out runs/memory    # writes the images
    python bench/memory.py --out runs/memory    # searches

The folder is written once: of CIFAR-10's training split the first 4,000, of its test split the
first 1,000 for validation and 1,000 more, from row 5,000 on, for the test.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import torch
import tyro

from _common import SHARED, data_in, peak_bytes, search_options, weights_of, write_photos
from sartor.runs import Run, RunConfig

#: Of each split of the folder: the file, the first row, how many.
_SPLITS = {
    "train": ("train", 0, 4000),
    "val": ("test", 0, 1000),
    "test": ("test", 5000, 1000),
}


@dataclass(frozen=True)
class Memory:
    """A search of ResNet-20 at half its MACs.

    Attributes:
        out: Folder of the images and of the run, which is searched anew.
        shared: Folder of the network and CIFAR-10.
        episodes: Of the search.
    """

    out: Path = Path("runs/memory")
    shared: Path = SHARED
    episodes: int = 20

    def run(self) -> None:
        """Write the folder if it is missing, else search and print what that took."""
        photos = self.out / "photos"
        if not photos.exists():
            self._write(photos)
            print(f"wrote {photos}; run this again to search")
            return
        found = self.out / "run"
        shutil.rmtree(found, ignore_errors=True)

        torch.set_num_threads(1)
        config = RunConfig(
            model="resnet20",
            weights=weights_of("resnet20", self.shared),
            data=str(photos),
            budget="macs<=50%",
            out=found,
            threads=1,
            options=search_options("evolution", self.episodes),
        )
        started = time.process_time()
        Run.of(config).search()
        seconds = time.process_time() - started
        print(f"peak {peak_bytes() / 1e9:.2f} GB, {seconds:.0f} seconds of CPU")

    def _write(self, photos: Path) -> None:
        unfinished = photos.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        for split, (name, first, count) in _SPLITS.items():
            table = pq.read_table(data_in(self.shared) / f"{name}.parquet").slice(first, count)
            write_photos(unfinished / split, table, "img", ".png")
        unfinished.rename(photos)


if __name__ == "__main__":
    tyro.cli(Memory).run()
