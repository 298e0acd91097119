"""One network in training: labels, distillation from a teacher, a moving average of the weights."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sartor.compression import is_quantized
from sartor.compression.modules import BATCH_NORMS, device_of, trainable_copy, weight_of
from sartor.compression.quantizing import refold, unfold
from sartor.data import Images
from sartor.finetune._blocks import Blocks, WithValues
from sartor.finetune._checkpoint import numbers_as_tensors, tensors_as_numbers
from sartor.finetune._learning_rate import LearningRate, usual_rate
from sartor.finetune._lessons import Lessons
from sartor.finetune._loss import Loss, prepared_teacher
from sartor.finetune._optimizer import carried_by, make_optimizer, restore_carried
from sartor.finetune._options import FinetuneOptions
from sartor.finetune._private_state import PrivateState, device_of_process, make_accelerator
from sartor.machine import CPU, reproducible, require, seeded
from sartor.policy import Policy
from sartor.scoring import pass_size
from sartor.tasks import CLASSIFICATION, Task, first_batch

if TYPE_CHECKING:
    from accelerate import Accelerator

#: Images from which batch norms that were folded are set up again.
_STATISTICS = 512
#: Seeds of epochs are apart by more than there are epochs.
_SEED_STEP = 1_000_003
#: The number of an epoch that none has.
_TRIAL = _SEED_STEP - 1


class Training:
    """A student and all that changes while it learns; `begin` makes one.

    Args:
        options: How to train.
        state: That the accelerator lives in.
        accelerator: Of this training.
        student: In training, on the device.
        loss: What is minimised.
        lessons: What is learned from, on the device if there is room.
        masks: Which weights are kept, 1 or 0, by the names of their parameters.
        refolds: Whether batch norms of the student are folded back into what is delivered.
    """

    def __init__(
        self,
        options: FinetuneOptions,
        *,
        state: PrivateState,
        accelerator: Accelerator,
        student: fx.GraphModule,
        loss: Loss,
        lessons: Lessons,
        masks: Mapping[str, Tensor],
        refolds: bool,
    ) -> None:
        self.options = options
        self._state = state
        self._accelerator = accelerator
        self._device = device_of(student)
        self._student = student
        self._loss = loss
        self._lessons = lessons
        self._masks = masks
        self._refolds = refolds

        self._average = AveragedModel(
            student,
            multi_avg_fn=get_ema_multi_avg_fn(options.ema),
            # Statistics of batch norms have to suit averaged weights, so they are averaged too.
            use_buffers=True,
        )
        self._optimizer = make_optimizer(student, options)
        self._step = 0

        # As the accelerator has them, which spreads them over processes.
        forwards: nn.Module = student
        if loss.blocks is not None:
            forwards = WithValues(student, list(loss.blocks.channels))
        self._model, self._stepper = accelerator.prepare(forwards, self._optimizer)
        self._forward = _compiled(self._model, options)

        images_a_step = options.batch * accelerator.num_processes
        self._steps_per_epoch = options.steps or max(1, len(lessons.images) // images_a_step)
        usual = usual_rate(student, frozen=options.freezes_norms)
        self.learn_at(options.learning_rate or usual)

    @classmethod
    def begin(
        cls,
        candidate: fx.GraphModule,
        train: Images,
        teacher: nn.Module | None,
        options: FinetuneOptions,
        *,
        policy: Policy | None = None,
        task: Task = CLASSIFICATION,
        device: torch.device = CPU,
        blocks: Mapping[str, Tensor] | None = None,
    ) -> Training:
        """Prepare a copy of a candidate, of which weights that ``policy`` pruned stay pruned.

        It learns the values of the teacher's nodes that ``blocks`` names, too, in the channels that
        it has left, where both are traced.

        It is trained on the ``device``, or, where several processes share a training, by each of
        them on a GPU of its own.

        Raises what `finetune` raises for images, labels, teachers and options that do not suit.
        """
        state = PrivateState()
        with state:
            accelerator = make_accelerator(options.precision, device)
            device = device_of_process(accelerator, device)
            image = train.batch(slice(0, 1))

            refolds = is_quantized(candidate)
            few = pass_size(train, _STATISTICS)
            examples = (train.batch(slice(0, few)),)
            student = unfold(candidate, examples) if refolds else trainable_copy(candidate)
            outputs = first_batch(student, image, "the network", task)
            if teacher is not None and options.distill == 1:
                lessons = Lessons.without_labels(train, options, task)
            else:
                lessons = Lessons.with_labels(train, outputs, options, task)

            student = student.to(device)
            shown = None
            ends = None
            if teacher is not None and options.distill:
                prepared = prepared_teacher(teacher, student, image, task).to(device)
                if blocks and isinstance(prepared, fx.GraphModule):
                    there = image.to(device)
                    ends = Blocks.shared(student, prepared, there, blocks)
                    if ends is not None:
                        prepared = WithValues(prepared, list(ends.channels))
                shown = _compiled(prepared, options)
            return cls(
                options,
                state=state,
                accelerator=accelerator,
                student=student,
                loss=Loss(task, shown, options.distill, options.temperature, ends),
                lessons=lessons.to(device),
                masks=_masks(student, policy or Policy()),
                refolds=refolds,
            )

    def learn_at(self, largest: float) -> None:
        """Choose the largest learning rate of what is still to come."""
        self.rate = LearningRate(
            largest=largest,
            steps=self.options.epochs * self._steps_per_epoch,
            warmup=self.options.warmup,
        )

    def epoch(self, number: int) -> float:
        """One pass, shared among the processes; mean loss."""
        with self._at_work(number) as generator:
            drawn = itertools.islice(self._batches(generator), self._steps_per_epoch)
            losses = []
            for images, labels in drawn:
                rate = self.rate.at(self._step)
                losses.append(self._learn(images, labels, rate))
                self._step += 1
            return self._mean(losses)

    def trial(self, rate: float, steps: int) -> list[float]:
        """The losses of some steps at one rate, always of the same images; see `restore`."""
        with self._at_work(_TRIAL) as generator:
            drawn = itertools.islice(self._batches(generator), steps)
            losses = [self._learn(images, labels, rate) for images, labels in drawn]
            return [self._mean([loss]) for loss in losses]

    @contextmanager
    def _at_work(self, number: int) -> Iterator[torch.Generator]:
        """The student in training; what is drawn depends on the number of the epoch."""
        seed = _SEED_STEP * self.options.seed + number
        device = self._device
        with self._state, seeded(seed, device), reproducible(device, tf32=True):
            self._model.train()
            if self.options.freezes_norms:
                _freeze_norms(self._student)
            yield torch.Generator().manual_seed(seed)

    def _batches(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        return self._lessons.batches(generator, self._share_of_process(), self._device)

    def _mean(self, losses: list[Tensor]) -> float:
        """The mean of losses, the same in all processes: they stop together if it is not finite."""
        # Read at the end, for a GPU need not be waited for after each step.
        numbers = torch.stack(losses).tolist()
        mean = sum(numbers) / len(numbers)
        shared = torch.tensor(mean, dtype=_exact(self._device), device=self._device)
        reduced = _operations().reduce(shared, "mean")
        return float(reduced)

    def tensors(self) -> dict[str, Tensor]:
        """What would be delivered if training ended here.

        It is the main process's in all of them, since statistics of batches differ.
        """
        latest = self._student.state_dict()
        delivered = self._average.module.state_dict() if self.options.ema else latest

        found = {}
        with self._state:
            for name, item in delivered.items():
                # Zero points, for instance: whole numbers have no average.
                chosen = item if item.is_floating_point() else latest[name]

                # Broadcasting writes in place, and the student goes on learning.
                copied = chosen.clone()
                _operations().broadcast(copied)
                found[name] = copied.cpu()
        return found

    def network(self, tensors: Mapping[str, Tensor]) -> fx.GraphModule:
        """The network with such `tensors`, as it is delivered."""
        model = copy.deepcopy(self._student).cpu().eval()
        model.load_state_dict(tensors)
        return refold(model) if self._refolds else model

    def state(self) -> dict[str, dict[str, Tensor]]:
        """All that changes, by part."""
        scaler_numbers: dict[str, Tensor] = {}
        scaler = self._accelerator.scaler
        if scaler is not None:
            scaler_numbers = numbers_as_tensors(scaler.state_dict())

        return {
            "student": dict(self._student.state_dict()),
            "average": dict(self._average.state_dict()),
            "optimizer": carried_by(self._optimizer, self._student),
            "scaler": scaler_numbers,
        }

    def snapshot(self) -> dict[str, dict[str, Tensor]]:
        """A copy of `state` that does not change with it."""
        return {
            part: {name: item.clone() for name, item in tensors.items()}
            for part, tensors in self.state().items()
        }

    def restore(self, parts: Mapping[str, Mapping[str, Tensor]], *, epochs: int) -> None:
        """Stand where `state` was taken, after some epochs."""
        self._student.load_state_dict(parts["student"])
        self._average.load_state_dict(parts["average"])

        # A file has no part without tensors.
        carried = parts.get("optimizer", {})
        restore_carried(self._optimizer, self._student, carried)

        scaler = self._accelerator.scaler
        if scaler is not None:
            numbers = tensors_as_numbers(parts.get("scaler", {}))
            scaler.load_state_dict(numbers)

        self._step = epochs * self._steps_per_epoch

    def _share_of_process(self) -> slice:
        """The images of this process: equally many for each, since they wait for each other."""
        processes = self._accelerator.num_processes
        first = self._accelerator.process_index
        whole = len(self._lessons.images) // processes * processes
        return slice(first, whole, processes)

    def _learn(self, images: Tensor, labels: Tensor, rate: float) -> Tensor:
        """One step at a learning rate; its loss."""
        with self._accelerator.autocast():
            loss = self._loss(self._forward(images), images, labels)

        for group in self._optimizer.param_groups:
            group["lr"] = rate

        self._stepper.zero_grad()
        self._accelerator.backward(loss)
        self._stepper.step()

        # After the step, in which weights that were pruned have gradients like any other.
        with torch.no_grad():
            for name, mask in self._masks.items():
                parameter = self._student.get_parameter(name)
                parameter.mul_(mask)

        if self.options.ema:
            self._average.update_parameters(self._student)
        return loss.detach()


def _exact(device: torch.device) -> torch.dtype:
    """The most exact numbers of a device: Apple's GPUs have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def _operations() -> Any:
    """What accelerate does with tensors of all processes."""
    return require("accelerate.utils", extra="train")


def _compiled(model: nn.Module, options: FinetuneOptions) -> Callable[[Tensor], Any]:
    return torch.compile(model) if options.compile else model


def _freeze_norms(student: nn.Module) -> None:
    """Let batch norms normalise by what they remember, and remember nothing new."""
    for module in student.modules():
        if isinstance(module, BATCH_NORMS):
            module.eval()


def _masks(student: nn.Module, policy: Policy) -> dict[str, Tensor]:
    """Masks of the layers that lost single weights: what is zero now."""
    masks = {}
    for layer, share in policy.weights.items():
        if share < 1:
            module = student.get_submodule(layer)
            weight = weight_of(module)
            is_kept = weight != 0
            masks[f"{layer}.weight"] = is_kept.to(weight.dtype)
    return masks
