"""A target that sartor knows nothing of: PyTorch itself, on exported programs."""

import timeit

import torch

from sartor.export import export
from sartor.targets import Description, Support, Target


class TorchTarget(Target):
    name = "torch"
    suffix = ".pt2"

    def describe(self):
        supports = Support.for_all_layers([(32, 32), (8, 8)])
        return Description(self.name, "CPU", f"torch {torch.__version__}", self.threads, supports)

    def build(self, network, inputs, path):
        return export(network, inputs, path, "pt2")

    def load(self, artifact, *, threads=None):
        return TorchSession(torch.export.load(artifact))


class TorchSession:
    batch = None

    def __init__(self, program):
        self._network = program.module()
        self._example = program.example_inputs[0][0][:1].numpy()

    def run(self, inputs):
        with torch.no_grad():
            return [self._network(*map(torch.from_numpy, inputs)).numpy()]

    def seconds(self):
        return timeit.timeit(lambda: self.run([self._example]), number=1)
