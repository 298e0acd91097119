from ._loop import Epoch as Epoch
from ._loop import Finetuned as Finetuned
from ._loop import finetune as finetune
from ._options import FinetuneChanges as FinetuneChanges
from ._options import FinetuneOptions as FinetuneOptions
from ._teacher import Teacher as Teacher
