"""A crawler: a page is a task, which starts one for each link that nobody has followed yet, and waits for them."""

import re
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import sheaf as ray

PAGES = 12


class Site(BaseHTTPRequestHandler):
    """Page n leads to 2n + 1, 2n + 2, a page far away, and back to the first."""

    def do_GET(self) -> None:
        page = int(self.path.strip("/"))
        links = [target for target in (2 * page + 1, 2 * page + 2, page * 7 % PAGES, 0) if target < PAGES]
        body = f"<title>Page {page}</title>" + "".join(f'<a href="/{link}">' for link in links)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@ray.remote
class Visited:
    """The pages that some task looks after."""

    def __init__(self, first: str) -> None:
        self.paths = {first}

    def add(self, paths: list[str]) -> list[str]:
        """Those that are new."""
        new = [path for path in dict.fromkeys(paths) if path not in self.paths]
        self.paths.update(new)
        return new


@ray.remote
def crawl(address: str, path: str, visited: Any) -> dict[str, str]:
    """The titles of this page and of all that only it leads to."""
    connection = HTTPConnection(address, timeout=10)
    connection.request("GET", path)
    text = connection.getresponse().read().decode()
    connection.close()
    links = ray.get(visited.add.remote(re.findall(r'href="([^"]+)"', text)))
    found = {path: re.findall("<title>(.*)</title>", text)[0]}
    for titles in ray.get([crawl.remote(address, link, visited) for link in links]):
        found.update(titles)
    return found


def main() -> None:
    ray.init(num_cpus=2)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    titles = ray.get(crawl.remote(f"127.0.0.1:{server.server_port}", "/0", Visited.remote("/0")))
    for path in sorted(titles, key=lambda path: int(path[1:])):
        print(path, titles[path])
    server.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
