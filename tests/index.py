"""A package index on this machine, with packages that are made up."""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

PASSWORD = "s3cret-of-the-index"
# What names an index, in whatever shell the tests are started from.
NAMES = (
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"),
)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


class Index:
    """Its files, and where it answers; whoever asks shows a password, which nobody looks at."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.url = f"http://user:{PASSWORD}@127.0.0.1:{port}/simple"

    def wheel(
        self,
        name: str,
        version: str,
        requires: Sequence[str] = (),
        files: Mapping[str, str] | None = None,
        tag: str = "py3-none-any",
    ) -> str:
        """Publish a wheel of one module, or of these files, for machines of that tag; return its SHA-256."""
        module = name.replace("-", "_")
        about = f"{module}-{version}.dist-info"
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        # Extras are named by the requirements that they bring.
        lines += sorted(
            {f"Provides-Extra: {line.split('extra == ')[1][1:-1]}" for line in requires if "extra" in line}
        )
        lines += [f"Requires-Dist: {line}" for line in requires]
        content = {
            **(files if files is not None else {f"{module}/__init__.py": f"VERSION = {version!r}\n"}),
            f"{about}/METADATA": "\n".join(lines) + "\n",
            f"{about}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        }
        record = "".join(f"{path},,\n" for path in (*content, f"{about}/RECORD"))
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for path, text in {**content, f"{about}/RECORD": record}.items():
                archive.writestr(path, text)
        return self._publish(name, f"{module}-{version}-{tag}.whl", buffer.getvalue())

    def sdist(self, name: str, version: str, files: Mapping[str, str]) -> str:
        """Publish a source archive with these files; return its SHA-256."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for path, text in files.items():
                member = tarfile.TarInfo(f"{name}-{version}/{path}")
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
        return self._publish(name, f"{name}-{version}.tar.gz", buffer.getvalue())

    def _publish(self, name: str, file: str, content: bytes) -> str:
        page = self.folder / "simple" / name
        page.mkdir(parents=True, exist_ok=True)
        (page / file).write_bytes(content)
        links = [
            f'<a href="{path.name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}">{path.name}</a>'
            for path in sorted(page.iterdir())
            if path.suffix != ".html"
        ]
        (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{' '.join(links)}</body></html>")
        return hashlib.sha256(content).hexdigest()


@contextmanager
def served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """Serve an index, the one to ask for as long as it lasts, and with no cache of earlier answers."""
    folder.mkdir()
    serving = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    index = Index(folder, serving.server_port)
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    monkeypatch.setenv("UV_CACHE_DIR", str(folder.with_name("uv-cache")))
    try:
        yield index
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()
