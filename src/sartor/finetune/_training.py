"""One network in training: labels, distillation from a teacher, a moving average of the weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sartor.compression import fold, is_quantized
from sartor.compression.modules import trainable_copy, weight_of
from sartor.compression.quantizing import refold, unfold
from sartor.data import Images
from sartor.errors import TraceError, UsageError
from sartor.finetune._batches import batches
from sartor.finetune._options import FinetuneOptions
from sartor.graph import trace
from sartor.machine import channels_last, require
from sartor.policy import Policy
from sartor.scoring import logits, output_shape, require_classes

if TYPE_CHECKING:
    from accelerate import Accelerator

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
#: Images from which batch norms that were folded are set up again.
_STATISTICS = 512


class Training:
    """The student, what it learns from, and how."""

    def __init__(
        self,
        candidate: fx.GraphModule,
        train: Images,
        teacher: nn.Module | None,
        options: FinetuneOptions,
        policy: Policy | None = None,
    ) -> None:
        self.options = options
        accelerate = require("accelerate", extra="train")
        if options.precision == "fp16" and not torch.cuda.is_available():
            raise UsageError("precision is fp16, which needs a GPU; allowed here are no and bf16")
        accelerate.state.AcceleratorState._reset_state()  # else the precision of the first training would be that of all
        self._accelerator: Accelerator = accelerate.Accelerator(
            mixed_precision=options.precision, cpu=not torch.cuda.is_available()
        )
        self._utils = accelerate.utils
        self._pixels, self._labels = train.normalized(), train.labels
        self._quantized = is_quantized(candidate)
        student = (
            unfold(candidate, (self._pixels[:_STATISTICS],))
            if self._quantized
            else trainable_copy(candidate)
        )
        classes = require_classes(
            output_shape(student, self._pixels[:1], "the network"), train.labels
        )
        self.rate = options.learning_rate or _usual_rate(student)
        self._student = student.to(self._accelerator.device)
        self._masks = _masks(self._student, policy or Policy())
        self._average = AveragedModel(
            self._student, multi_avg_fn=get_ema_multi_avg_fn(options.ema), use_buffers=True
        )
        if "mix" in options.augment:
            self._labels = F.one_hot(train.labels, classes).float()
        self._steps_per_epoch = max(
            1, len(self._labels) // (options.batch * self._accelerator.num_processes)
        )
        self._step = 0
        self._optimizer = torch.optim.SGD(
            _parameter_groups(self._student, options),
            momentum=options.momentum,
            nesterov=options.momentum > 0,
        )
        self._model, self._prepared = self._accelerator.prepare(self._student, self._optimizer)
        self._forward = self._callable(self._model)
        self._teacher: Callable[[Tensor], Tensor] | None = None
        if teacher is not None and options.distill:
            teacher = _folded(teacher, self._pixels[:1]).eval().requires_grad_(False)
            require_alike(teacher, student, self._pixels[:1])
            self._teacher = self._callable(teacher.to(self._accelerator.device))

    def epoch(self, number: int) -> float:
        """One pass, shared among the processes; mean loss."""
        seed, device = 1_000_003 * self.options.seed + number, self._accelerator.device
        generator = torch.Generator().manual_seed(seed)
        self._model.train()
        losses = []
        processes = self._accelerator.num_processes
        whole = (
            len(self._labels) // processes * processes
        )  # as many batches for every process: they wait for each other
        share = slice(self._accelerator.process_index, whole, processes)
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # dropout draws from nowhere else
            for images, labels in batches(
                self._pixels[share],
                self._labels[share],
                size=self.options.batch,
                augment=self.options.augment,
                generator=generator,
            ):
                losses.append(self._learn(channels_last(images.to(device)), labels.to(device)))
        mean = torch.tensor(sum(losses) / len(losses), dtype=torch.float64, device=device)
        return float(self._utils.reduce(mean, "mean"))

    def tensors(self) -> dict[str, Tensor]:
        """What would be delivered if training ended here; the main process's in all, since statistics of batches differ."""
        found = dict((self._average.module if self.options.ema else self._student).state_dict())
        latest = self._student.state_dict()
        for name, item in found.items():
            # zero points, for instance: whole numbers have no average
            found[name] = (item if item.is_floating_point() else latest[name]).clone()
            self._utils.broadcast(found[name])
        return {name: item.cpu() for name, item in found.items()}

    def network(self, tensors: Mapping[str, Tensor]) -> fx.GraphModule:
        """The network with such `tensors`, as it is delivered."""
        model = copy.deepcopy(self._student).cpu().eval()
        model.load_state_dict(tensors)
        return refold(model) if self._quantized else model

    def state(self) -> dict[str, dict[str, Tensor]]:
        """All that changes, by part."""
        momentum = {
            f"{index}": self._optimizer.state[item]["momentum_buffer"]
            for index, item in enumerate(self._student.parameters())
            if "momentum_buffer" in self._optimizer.state[item]
        }
        return {
            "student": dict(self._student.state_dict()),
            "average": dict(self._average.state_dict()),
            "momentum": momentum,
            "scaler": _tensors(scaler.state_dict())
            if (scaler := self._accelerator.scaler) is not None
            else {},
        }

    def restore(self, parts: dict[str, dict[str, Tensor]], *, epochs: int) -> None:
        """Stand where `state` was taken, after some epochs."""
        self._student.load_state_dict(parts["student"])
        self._average.load_state_dict(parts["average"])
        for index, item in enumerate(self._student.parameters()):
            if str(index) in parts.get("momentum", {}):
                self._optimizer.state[item]["momentum_buffer"] = parts["momentum"][str(index)].to(
                    item.device
                )
        if (scaler := self._accelerator.scaler) is not None:
            scaler.load_state_dict(
                {name: item.item() for name, item in parts.get("scaler", {}).items()}
            )
        self._step = epochs * self._steps_per_epoch

    def _callable(self, model: nn.Module) -> Callable[[Tensor], Tensor]:
        return torch.compile(model) if self.options.compile else model

    def _learn(self, images: Tensor, labels: Tensor) -> float:
        with self._accelerator.autocast():
            outputs = logits(self._forward(images))
            loss = self._loss(outputs.float(), images, labels)
        for group in self._optimizer.param_groups:
            group["lr"] = self.rate * self._factor(self._step)
        self._step += 1
        self._prepared.zero_grad()
        self._accelerator.backward(loss)
        self._prepared.step()
        with torch.no_grad():
            for name, mask in self._masks.items():
                self._student.get_parameter(name).mul_(mask)
        if self.options.ema:
            self._average.update_parameters(self._student)
        return float(loss.detach())

    def _loss(self, outputs: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        loss = F.cross_entropy(outputs, labels)
        if self._teacher is None:
            return loss
        soft = self.options.temperature
        with torch.no_grad():
            wanted = logits(self._teacher(images)).float().div(soft).softmax(-1)
        far = (
            F.kl_div(outputs.div(soft).log_softmax(-1), wanted, reduction="batchmean") * soft**2
        )  # Hinton et al. 2015
        return (1 - self.options.distill) * loss + self.options.distill * far

    def _factor(self, step: int) -> float:
        """Learning rate after some steps, as a share of the largest."""
        steps = self.options.epochs * self._steps_per_epoch
        rise = max(1, round(self.options.warmup * steps))
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))


def require_alike(teacher: nn.Module, student: nn.Module, image: Tensor) -> None:
    """Raise `UsageError` for a teacher that cannot run on an image (1, …), or has outputs of another shape than the student."""
    theirs, mine = (
        output_shape(teacher, image, "the teacher"),
        output_shape(student, image, "the network"),
    )
    if mine != theirs:
        raise UsageError(
            f"the teacher's outputs have shape {theirs}, those of the network {mine}; they must be the same"
        )


def _folded(teacher: nn.Module, example: Tensor) -> nn.Module:
    """A copy for inference: without batch norms, which take a third of a ResNet-56's time, where it can be traced."""
    try:
        return fold(trace(teacher, example).module)
    except TraceError:
        return copy.deepcopy(teacher)


def _usual_rate(student: nn.Module) -> float:
    """The largest learning rate, where none is given: a tenth without batch norms."""
    return 0.02 if any(isinstance(module, _NORMS) for module in student.modules()) else 0.002


def _tensors(numbers: Mapping[str, float]) -> dict[str, Tensor]:
    """Whole numbers stay whole, others keep all their digits."""
    kinds = {
        name: torch.int64 if isinstance(value, int) else torch.float64
        for name, value in numbers.items()
    }
    return {name: torch.tensor(value, dtype=kinds[name]) for name, value in numbers.items()}


def _masks(student: nn.Module, policy: Policy) -> dict[str, Tensor]:
    """Which weights are kept, 1 or 0, by the names of the parameters of layers that lost single weights."""
    weights = {
        layer: weight_of(student.get_submodule(layer))
        for layer, share in policy.weights.items()
        if share < 1
    }
    return {f"{layer}.weight": (weight != 0).to(weight.dtype) for layer, weight in weights.items()}


def _parameter_groups(model: nn.Module, options: FinetuneOptions) -> list[dict[str, Any]]:
    parameters = list(model.parameters())
    return [
        {
            "params": [item for item in parameters if item.dim() > 1],
            "weight_decay": options.weight_decay,
        },
        {"params": [item for item in parameters if item.dim() <= 1], "weight_decay": 0.0},
    ]
