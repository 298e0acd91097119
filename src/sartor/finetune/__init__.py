"""Training a candidate so that it makes up for what was taken from it."""

from sartor.finetune._checkpoint import FILE as CHECKPOINT
from sartor.finetune._loop import Epoch, Finetuned, finetune
from sartor.finetune._options import FinetuneChanges, FinetuneOptions
from sartor.finetune._training import require_alike

__all__ = ["CHECKPOINT", "Epoch", "FinetuneChanges", "FinetuneOptions", "Finetuned", "finetune", "require_alike"]
