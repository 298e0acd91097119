"""What runs on a board: Python, NumPy and the runtime are all it may use.

Its files are streamed to the board one by one, so it imports nothing of sartor but itself.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
