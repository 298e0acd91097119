import os
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared():
    """Folder with real data and trained networks; its absence is a failure in CI."""
    if not SHARED.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{SHARED} is missing")
        pytest.skip(f"{SHARED} (CIFAR-10 and trained networks) is not here")
    return SHARED


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
