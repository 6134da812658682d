"""A pool of actors: each loads its dictionary once, and the pool gives work to whichever is idle."""

from typing import Any

import sheaf as ray
from sheaf.util import ActorPool

WORDS = {"one": "eins", "two": "zwei", "three": "drei", "four": "vier", "five": "fünf"}


@ray.remote
class Translator:
    def __init__(self, words: dict[str, str]) -> None:
        self.words = words

    def translate(self, word: str) -> str:
        return self.words[word]


def translate(actor: Any, word: str) -> Any:
    return actor.translate.remote(word)


def main() -> None:
    ray.init(num_cpus=2)
    words = ray.put(WORDS)
    pool = ActorPool([Translator.remote(words) for _ in range(2)])

    print("in order:", list(pool.map(translate, list(WORDS))))
    print("as they come:", sorted(pool.map_unordered(translate, list(WORDS))))

    for word in ("five", "four", "three"):
        pool.submit(translate, word)
    while pool.has_next():
        print("next:", pool.get_next(timeout=30))

    actor = pool.pop_idle()
    print("taken out:", ray.get(actor.translate.remote("two")))
    pool.push(actor)
    print("given back:", pool.has_free())
    ray.shutdown()


if __name__ == "__main__":
    main()
