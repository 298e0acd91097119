"""What a search found, in the formats that runtimes read, and what becomes of it there."""

from sartor.export._drift import Drift, drift
from sartor.export._formats import FORMATS, Format, FormatName, export
from sartor.export._verify import Verification, size_of, verify

__all__ = ["FORMATS", "Drift", "Format", "FormatName", "Verification", "drift", "export", "size_of", "verify"]
