"""An export format that sartor knows nothing of: an exported program with a note inside."""

import json

import torch

from sartor.export import Format
from sartor.machine import write_atomically
from sartor.targets import exporting, with_integers


class ProgramFormat(Format):
    name = "program"
    suffix = ".pt2"
    runtime = "outside.target:TorchTarget"

    def write(self, network, inputs, path, *, metadata, dynamic):
        batch = {0: torch.export.Dim("batch", min=1)} if dynamic else None
        with exporting("program"):
            program = torch.export.export(
                with_integers(network), tuple(inputs), dynamic_shapes=(batch,) * len(inputs)
            )
        note = {"note.json": json.dumps(dict(metadata))}
        # torch wants to see the suffix, which a temporary file has not
        write_atomically(path, lambda temporary: self._save(program, temporary, note))

    def _save(self, program, temporary, note):
        with temporary.open("wb") as file:
            torch.export.save(program, file, extra_files=note)

    def read_metadata(self, path):
        note = {"note.json": ""}
        torch.export.load(path, extra_files=note)
        return json.loads(note["note.json"] or "{}")
