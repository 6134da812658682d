"""An actor that lives in this process: its instance, and why there is none any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sheaf._runtime.actor_handle import BUILT_IN
from sheaf._runtime.context import Running
from sheaf._runtime.inline import calls
from sheaf._runtime.inline.calls import InlineCall
from sheaf._runtime.inline.reference import InlineRef, Value


@dataclass
class InlineActor:
    """An actor; a reference to it, its handle, is what keeps it."""

    maker: InlineCall
    cls: type
    instance: Any = None
    failure: Value | None = None
    """What its calls come to, once it is dead."""

    made_by: Running = field(init=False)

    def __post_init__(self) -> None:
        self.made_by = self.maker.running(cls=self.cls)
        self.made_by.maker = self.made_by

    def make(self) -> None:
        """Begin a life, by the constructor."""

        def construct(*args: Any, **kwargs: Any) -> None:
            self.instance = self.cls(*args, **kwargs)

        self.maker.function = construct
        try:
            outcome = calls.run(self.maker, self.made_by)
        except calls.ExitActor as left:
            return self.end(str(left))
        if outcome.has_raised:
            [(self.failure, _)] = outcome.returns
        return None

    def method(self, name: str) -> Callable[..., Any]:
        """What a call of this name runs."""
        if name in BUILT_IN:
            return lambda *args, **kwargs: BUILT_IN[name](self.instance, *args, **kwargs)
        method: Callable[..., Any] = getattr(self.instance, name)
        return method

    def end(self, why: str) -> None:
        """End it; it stays dead."""
        self.instance = None
        self.failure = (calls.ACTOR_DIED, f"the actor died: {why}", [])

    def kill(self, *, for_good: bool) -> None:
        """End its life, and begin another one if it may have one."""
        if self.failure is not None:
            return
        self.instance = None
        if for_good or self.maker.attempt > self.maker.max_retries:
            self.end("it was ended by kill")
        else:
            self.maker.attempt += 1
            self.make()


class ActorRef(InlineRef):
    """The reference that is an actor's handle."""

    actor: InlineActor
