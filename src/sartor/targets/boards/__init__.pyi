from ._board import Board as Board
from ._facts import Facts as Facts
from ._place import Place as Place
from ._survey import Survey as Survey
from ._survey import survey as survey
from ._target import SshTarget as SshTarget
