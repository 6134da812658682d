"""What workers print appears at the driver, marked with who printed it."""

import re

import pytest

from . import processes

pytestmark = pytest.mark.timeout(90)

PROGRAM = """
import sys
import sheaf as ray

ray.init(num_cpus=2, log_to_driver={shown})

@ray.remote
def say(text):
    print(text)
    print("no end of a line: " + text, end="")
    print(text + " to the errors", file=sys.stderr)

@ray.remote
class Speaker:
    def say(self, text):
        print(text)

speaker = Speaker.remote()
ray.get([say.remote("from a task"), speaker.say.remote("from an actor")])
print("done", flush=True)
sys.stdin.read({wait})
"""
COLOURS = re.compile(r"\x1b\[\d+m")


def test_output_is_marked() -> None:
    expected = {
        r"\(say pid=\d+\) from a task",
        r"\(say pid=\d+\) no end of a line: from a task",
        r"\(Speaker pid=\d+\) from an actor",
    }
    lines: list[str] = []
    with processes.started_driver(PROGRAM.format(shown=True, wait=1)) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        for line in child.stdout:
            lines.append(COLOURS.sub("", line.rstrip("\n")))
            expected = {pattern for pattern in expected if not re.fullmatch(pattern, lines[-1])}
            if not expected:
                break
        _, errors = child.communicate("\n")
    assert expected == set(), lines
    assert re.search(r"^\(say pid=\d+\) from a task to the errors$", COLOURS.sub("", errors), re.MULTILINE)


def test_output_can_be_kept_from_the_driver() -> None:
    done = processes.run_driver(PROGRAM.format(shown=False, wait=0) + "\nimport time; time.sleep(1)\n")
    assert done.stdout == "done\n", done.stderr
    assert "from a" not in done.stderr
