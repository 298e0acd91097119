import pytest

from chains import of_pixels


@pytest.fixture(scope="session")
def chain():
    """Two groups of 4 channels, a and b; MACs are a + a·b + b, 24 in all. Layers "0", "2", "4"."""
    return of_pixels(1, 4, 4, 1)
