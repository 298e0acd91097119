from ._loop import Epoch as Epoch
from ._loop import Finetuned as Finetuned
from ._loop import finetune as finetune
from ._loss import require_alike as require_alike
from ._options import FinetuneChanges as FinetuneChanges
from ._options import FinetuneOptions as FinetuneOptions
from ._teacher import Teacher as Teacher
