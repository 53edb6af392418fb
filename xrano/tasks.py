"""What a network is asked: which of the four responses, or progression against the rest.

A task names its classes in the order of the logits. Whatever the task, a pair keeps its RANO
response; :meth:`Task.class_of` says which class that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xrano.errors import ModelError, UnknownNameError
from xrano.rano import RESPONSES, Response

REST = "rest"
"""Every response but progression."""


@dataclass(frozen=True)
class Task:
    """A question with its classes.

    ``classes``: class index to name; ``of_response``: response to name.
    """

    name: str
    classes: tuple[str, ...]
    of_response: Mapping[str, str]

    def class_of(self, response: str) -> str:
        """The class of a response; empty for an unrated pair.

        Raises:
            UnknownNameError: if it is neither a response nor a class.

        Example:
            >>> TASKS["progression"].class_of("SD"), TASKS["response"].class_of("SD")
            ('rest', 'SD')
        """
        if not response or response in self.classes:
            return str(response)
        if response not in self.of_response:
            raise UnknownNameError("response", response, self.of_response)
        return self.of_response[response]

    def index(self, response: str) -> int:
        """The class index of a response; −1 of an unrated pair."""
        return self.classes.index(self.class_of(response)) if response else -1

    def indices(self, responses: Sequence[str]) -> list[int]:
        """:meth:`index` of each."""
        return [self.index(response) for response in responses]


TASKS: Mapping[str, Task] = {
    "response": Task(
        "response",
        tuple(str(name) for name in RESPONSES),
        {str(name): str(name) for name in RESPONSES},
    ),
    "progression": Task(
        "progression",
        (REST, str(Response.PD)),
        {str(name): "PD" if name is Response.PD else REST for name in RESPONSES},
    ),
}
"""``response``: CR, PR, SD, PD. ``progression``: PD or rest."""

RESPONSE = TASKS["response"]


def task_of(num_classes: int) -> Task:
    """The task of a network with so many logits.

    Raises:
        ModelError: if there is none.
    """
    for task in TASKS.values():
        if len(task.classes) == num_classes:
            return task
    needed = " or ".join(
        f"{len(task.classes)} ({', '.join(task.classes)})" for task in TASKS.values()
    )
    raise ModelError(f"the network gives {num_classes} logits, needed are {needed}")
