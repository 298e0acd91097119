from ._main import main as main
from ._parse import parse as parse
