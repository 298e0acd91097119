"""A verification, as if an artifact had been run."""

from sartor.export import Verification
from sartor.targets import Comparison, Latency

LATENCY = Latency(1e-3, 1e-3, 1e-3, 1)
FOUND = Verification(
    artifact="a",
    network="b",
    runtime="c",
    device="d",
    threads=1,
    images=10,
    accuracy=0.5,
    simulated=0.5,
    size_bytes=1,
    original_size_bytes=1,
    peak_memory_bytes=None,
    batch=4,
    latency=Comparison(0.7, 0.65, 0.75, LATENCY, LATENCY),
)
