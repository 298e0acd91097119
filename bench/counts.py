"""MACs, parameters and bytes of the reference networks by the closed form, beside known MACs.

python bench/counts.py    # prints a Markdown table
"""

from __future__ import annotations

import torch

from _common import print_header, print_row
from sartor import models
from sartor.cost import CostModel
from sartor.graph import trace

#: Network, pixels, MACs as published.
CASES = [
    ("resnet20", 32, "40.55 M"),
    ("resnet56", 32, "125.49 M"),
    ("mobilenet_v1", 224, "569 M"),
    ("mobilenet_v2", 224, "300.8 M"),
    ("resnet18", 32, "555.4 M"),
    ("resnet18", 224, "1.81 G"),
    ("resnet50", 224, "4.09 G"),
    ("vgg16_bn", 224, "15.47 G"),
]


def main() -> None:
    """Print the table."""
    print_header("network", "pixels", "known MACs", "MACs", "parameters", "bytes")
    for name, pixels, known in CASES:
        model = models.build(name, pixels=pixels)
        network = trace(model, torch.zeros(1, 3, pixels, pixels))
        cost = CostModel(network).original
        print_row(name, pixels, known, f"{cost.macs:,}", f"{cost.params:,}", f"{cost.size:,}")


if __name__ == "__main__":
    main()
