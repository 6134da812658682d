"""Durable actors: what their calls did is saved before it is acknowledged, and is there again in the next life.

What was decided, and why:

- **Who one is**: the store, the namespace and the name. A later program that makes an actor of this name goes on with
  what is saved; the constructor runs only where nothing is. A namespace that was not named counts as ``default`` here,
  since no later program could know it. Hence a durable actor has to have a name.
- **What is saved**: what ``pickle`` would save of the instance (``__getstate__`` and ``__setstate__``), without the
  class: a later program brings its own. After errors too, since later callers see what a method did before it raised.
- **When**: before the call is acknowledged. ``every=1`` saves the state with each call. ``every=n`` saves the call, and
  the state at every nth: methods are then called again, in order, when the actor is restored, and have to do the same.
- **Exactly once**: with each call goes its id and its answer. One that is tried again and was saved is not run again,
  but given its answer. What is kept of them is bounded (``answers``); beyond it such a call fails and says so.
- **One at a time**: a life takes the next number, its epoch, by creating a file that must not exist; nothing is
  acknowledged by a life that is not the newest, which is looked up after each write (``log``). So of two programs with
  one actor the later has it, and the other's next call fails with ``DurableFencedError``, and its actor ends.
- **What cannot be saved is undone**: the call fails with ``DurableError``, and the actor goes on from what is saved.
- Calls run one by one: a state in the middle of others could not be saved. Async and threaded actors are refused.
- Defaults: ``max_restarts=-1``; ``max_task_retries=3``, as for tasks: a call that kills its process every time ends.

``lane`` runs the calls; ``log`` is what is saved and its order, in ``store``, a folder or a place in an object store.
"""
