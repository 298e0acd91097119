"""What a policy costs, in closed form: MACs, parameters, bytes, BOPs, for thousands at a time.

A layer's input width is linear in the number of units kept of each group, and so is its output
width; its weights and MACs are their product. Products of activations (attention) are linear in the
channels that they sum over, or pass on. Units: one multiply-accumulate counts once, for a
batch of one; bias, batch norm and activations cost no MACs. BOPs = MACs × weight bits ×
activation bits. Bytes count weights at their stored width, all else at 32 bits. Parameters that
modules share are counted once.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
