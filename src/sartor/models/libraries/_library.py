"""What a library of networks is asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from sartor.errors import SartorError, UsageError
from sartor.registry import did_you_mean


class Library(ABC):
    """Networks of somebody else, by name; `LIBRARIES` holds those that are known.

    It is imported when a network is first asked for.
    """

    @property
    @abstractmethod
    def names(self) -> Iterable[str]:
        """All networks that it has."""

    @abstractmethod
    def create(self, name: str, *, classes: int | None, pretrained: bool) -> Any:
        """A network; with its ``pretrained`` weights, which may be fetched, only if asked for.

        Networks with pretrained weights have the classes that these were trained on, others as
        many as are asked for.
        """

    @abstractmethod
    def configuration(self, name: str) -> Any:
        """What `sartor.models.preprocessing.READERS` read; None if it does not say."""

    @abstractmethod
    def classes(self, name: str) -> int | None:
        """How many classes the pretrained weights have; None if that is not known."""

    def build(self, reference: str, *, classes: int | None = None, pretrained: bool = False) -> Any:
        """The network that is called ``reference``, such as ``timm:resnet18``.

        Raises `UsageError`, with the nearest name, for one that the library does not have, and
        where its weights cannot be fetched.
        """
        family, _, name = reference.partition(":")
        try:
            return self.create(name, classes=classes, pretrained=pretrained)
        except SartorError:
            raise
        except Exception as error:  # somebody else's code may raise anything
            first_line = str(error).partition("\n")[0]
            reason = f"model {reference!r} cannot be built: {first_line}"
            known = list(self.names)
            if name not in known and name.partition(".")[0] not in known:
                meant = did_you_mean(name, known)
                reason = f"model {reference!r} is not in {family}; {meant}{len(known)} are there"
            elif pretrained:
                reason = (
                    f"the pretrained weights of {reference} cannot be fetched: {first_line}; "
                    "give a file of them with --weights"
                )
            raise UsageError(reason) from error
