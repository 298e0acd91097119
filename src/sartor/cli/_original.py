"""The network and the data of a run whose folder does not name them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sartor.runs import Run


@dataclass(frozen=True)
class Original:
    """What a run was made from, where Python had it as objects, or it lies elsewhere by now.

    Attributes:
        model: The original network, if not the one of the search: zoo name, timm:NAME,
            torchvision:NAME, or package.module:callable.
        weights: Its trained weights: a .safetensors file, or one of torch.save.
        data: Data set, if not the one of the search: folder of Parquet files or images, or digits.
        task: What the network is for, if that was an object of Python: package.module:OBJECT.
    """

    model: str = ""
    weights: Path | None = None
    data: str = ""
    task: str = ""

    def run_in(self, folder: Path) -> Run:
        """The run in a folder, with these at hand."""
        from sartor.runs import Run

        return Run(
            folder,
            model=self.model,
            weights=self.weights,
            data=self.data or None,
            task=self.task or None,
        )
