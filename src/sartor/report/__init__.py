"""A finished or running search as a page, figures, a table of episodes and a model card."""

from sartor.report._compare import compare
from sartor.report._live import server
from sartor.report._run import Facts, read
from sartor.report._write import write

__all__ = ["Facts", "compare", "read", "server", "write"]
