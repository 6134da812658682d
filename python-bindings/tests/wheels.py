"""Small packages for pip that the tests make themselves, so that nothing of them is on the network."""

import textwrap
import zipfile
from pathlib import Path


def wheel(folder: Path, name: str, version: str, code: str = "", needs: tuple[str, ...] = ()) -> Path:
    """The wheel of a module whose ``VERSION`` is this."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n{code}",
        f"{info}/METADATA": "\n".join(
            [
                "Metadata-Version: 2.1",
                f"Name: {name}",
                f"Version: {version}",
                *(f"Requires-Dist: {each}" for each in needs),
            ]
        ),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{each},,\n" for each in [*files, f"{info}/RECORD"])
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
    return path


def slow_source(folder: Path, name: str, version: str, begun: Path) -> Path:
    """The sources of a package that tells that it is being built, by the number of its process, and is never done.

    It brings its own backend, so that nothing else is wanted to build it.
    """
    import tarfile

    source = folder / f"{name}-{version}"
    source.mkdir(parents=True, exist_ok=True)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (source / "backend.py").write_text(
        textwrap.dedent(f"""
        import os, time
        def build_wheel(*_, **__):
            with open({str(begun)!r}, "a") as file:
                file.write(f"{{os.getpid()}} {{os.getppid()}}\\n")
            time.sleep(600)
        """)
    )
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(source, source.name)
    return path
