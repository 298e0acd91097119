from ._bar import Bar as Bar
from ._lines import Lines as Lines
from ._shown import as_progress as as_progress
from ._shown import shown_on as shown_on
from ._words import best_words as best_words
from ._words import original_words as original_words
