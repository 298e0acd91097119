"""Images that nothing is learned from, by which a repair is judged."""

from __future__ import annotations

from torch import Tensor, fx

from sartor.data import Images
from sartor.scoring import Unlabelled
from sartor.tasks import Outputs, Task


class HeldOut:
    """How far networks are from the original on images that were held out.

    The distance is the one that is learned, softened as there: on images that a network was
    trained on its answers are all but certain, and the divergence from them as they are is that of
    a few images.

    Args:
        images: Whose labels are not looked at.
        original: Traced, where networks are looked at.
        task: What of the outputs counts.
        temperature: Softens outputs that are class scores.
    """

    def __init__(
        self, images: Images, original: fx.GraphModule, task: Task, temperature: float
    ) -> None:
        self._unlabelled = Unlabelled(images, original, task)
        self._temperature = temperature

    def distance(self, network: fx.GraphModule) -> float:
        """Mean over the images, 0 at best."""
        return self._unlabelled.distance(network, self._softened)

    def _softened(self, answer: Outputs, wanted: Outputs) -> Tensor:
        return self._unlabelled.task.distillation(answer, wanted, self._temperature)
