"""A word count: each mapper has one result for each reducer, and results go from task to task by reference."""

import zlib
from collections import Counter

import sheaf as ray

REDUCERS = 3
TEXT = """
When shall we three meet again in thunder lightning or in rain
When the hurly burly is done when the battle is lost and won
That will be ere the set of sun
Where the place upon the heath there to meet with Macbeth
Fair is foul and foul is fair hover through the fog and filthy air
"""


@ray.remote(num_returns=REDUCERS)
def count(line: str) -> list[Counter[str]]:
    """The words of a line, each in the part of its reducer."""
    parts: list[Counter[str]] = [Counter() for _ in range(REDUCERS)]
    for word in line.lower().split():
        # Not hash(): it differs between processes.
        parts[zlib.crc32(word.encode()) % REDUCERS][word] += 1
    return parts


@ray.remote
def merge(*parts: Counter[str]) -> Counter[str]:
    return sum(parts, Counter())


def main() -> None:
    ray.init(num_cpus=2)
    mapped = [count.remote(line) for line in TEXT.strip().splitlines()]
    reduced = ray.get([merge.remote(*parts) for parts in zip(*mapped, strict=True)])
    print("words of each reducer:", [part.total() for part in reduced])
    words = sum(reduced, Counter())
    for word, number in sorted(words.items(), key=lambda item: (-item[1], item[0]))[:8]:
        print(f"{number} {word}")
    ray.shutdown()


if __name__ == "__main__":
    main()
