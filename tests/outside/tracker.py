"""A tracker that sartor knows nothing of: a file of lines."""

import json

from sartor.track import Tracker


class LinesTracker(Tracker):
    """Appends one line of JSON for every step to ``lines.jsonl`` in the folder of the run."""

    def __init__(self, folder):
        super().__init__(folder)
        self._file = (folder / "lines.jsonl").open("a", encoding="utf-8")

    def log(self, numbers, step):
        self._file.write(json.dumps({"step": step, **numbers}) + "\n")

    def close(self):
        self._file.close()
