"""An async actor: its calls run on one event loop, so that those that wait are waited for by none."""

import asyncio

import sheaf as ray


@ray.remote
class Board:
    """Messages by topic; readers may come before their message does."""

    def __init__(self) -> None:
        self.topics: dict[str, asyncio.Future[str]] = {}

    def topic(self, name: str) -> asyncio.Future[str]:
        return self.topics.setdefault(name, asyncio.get_running_loop().create_future())

    async def read(self, name: str) -> str:
        return await self.topic(name)

    async def write(self, name: str, text: str) -> int:
        self.topic(name).set_result(text)
        return len(self.topics)


@ray.remote
class Echo:
    async def after(self, seconds: float, text: str) -> str:
        await asyncio.sleep(seconds)
        return text


async def talk() -> None:
    board, echo = Board.remote(), Echo.remote()
    readers = [board.read.remote(name) for name in ("weather", "news", "weather")]
    _, waiting = ray.wait(readers, num_returns=len(readers), timeout=0.1)
    print("readers that wait:", len(waiting))
    await board.write.remote("weather", "rain")
    print("topics:", await board.write.remote("news", "none"))
    print("read:", await asyncio.gather(*readers))

    late, early = echo.after.remote(0.6, "late"), echo.after.remote(0.1, "early")
    done, _ = await asyncio.wait(
        [asyncio.ensure_future(late), asyncio.ensure_future(early)], return_when="FIRST_COMPLETED"
    )
    print("first:", [task.result() for task in done], "then:", await late)


def main() -> None:
    ray.init(num_cpus=2)
    asyncio.run(talk())
    ray.shutdown()


if __name__ == "__main__":
    main()
