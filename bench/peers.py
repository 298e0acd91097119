"""sartor beside its peers: the same networks, images, budget, repair and training.

    python bench/peers.py --models resnet20 resnet56 --runs RUN_OF_RESNET20 RUN_OF_RESNET56
    python bench/peers.py --models resnet56 --epochs 2 --only uniform 'group norm' evolution
    python bench/peers.py --table

Peers choose channels in environments of their own (`_peers.py`), made from PyPI. Whoever chose
them, a network is sliced; its batch norms are estimated anew; its layers are refitted; it is
repaired; it is trained (`_peer_stages.py`). So what a choice is worth stands apart from what is
mended afterwards, which no peer does. Peers that round to int8 do so to the original's ONNX file.

Every cell is one JSON file: what was interrupted goes on.
"""

from __future__ import annotations

import torch
import tyro

from _common import kept
from _peer_pruning import Pruned, Trained
from _peer_rounding import Rounded
from _peer_rows import Options
from _peer_stages import Bench
from _peer_tables import print_tables


def main() -> None:
    """Run what is missing, print the tables."""
    options = tyro.cli(Options)
    if not options.table:
        torch.set_num_threads(options.threads)
        for model in options.models:
            bench = Bench(model, options.shared, options.images, options.seed)
            for family in (Pruned, Trained, Rounded):
                family(options, bench).run()
    print_tables(kept(options.out))


if __name__ == "__main__":
    main()
