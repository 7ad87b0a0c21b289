"""metrics --listen: answers, refuses, and is held up by nobody. SPDX-License-Identifier: MIT"""
import http.client
import re
import signal
import socket
import subprocess
import sys

tool, segment = sys.argv[1:3]


def start(*more, where="0"):
    child = subprocess.Popen([tool, "metrics", "-n", segment, "--listen", where, *more], stderr=subprocess.PIPE, text=True)
    line = child.stderr.readline()
    found = re.fullmatch(r"serving http://(127\.0\.0\.1|\[::1\]):(\d+)/metrics\n", line)
    assert found, f"it says {line!r}"
    return child, int(found.group(2))


def ask(port, method="GET", path="/metrics"):
    """Within less than the 5 s after which the responder gives up others, so that who is held up by them fails."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    connection.request(method, path)
    response = connection.getresponse()
    return response, response.read()


def raw(port, data):
    """What a connection is answered that sends this; it may be closed in the middle."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        try:
            s.sendall(data)
        except OSError:
            pass
        answer = b""
        try:
            while chunk := s.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass
        return answer


child, port = start()
try:
    response, body = ask(port)
    assert response.status == 200 and response.getheader("Content-Type").startswith("application/openmetrics-text"), response
    assert body.endswith(b"# EOF\n") and b"libcache_reads_total" in body
    assert int(response.getheader("Content-Length")) == len(body)
    response, body = ask(port, "HEAD")
    assert response.status == 200 and body == b"" and int(response.getheader("Content-Length")) > 1000
    assert ask(port, path="/metrics?x=1")[0].status == 200
    assert ask(port, path="/other")[0].status == 404
    response, _ = ask(port, "POST")
    assert response.status == 405 and "GET" in response.getheader("Allow")
    assert raw(port, b"what\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(port, b"GET /metrics\0 HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(port, b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n")[:12] in (b"HTTP/1.1 431", b"")

    # Fifteen that say nothing, and one that stops in the middle, hold up nobody.
    slow = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(15)]
    slow[0].sendall(b"GET /metr")
    assert ask(port)[0].status == 200
    slow[0].sendall(b"ics HTTP/1.1\r\n\r\n")
    assert slow[0].recv(12) == b"HTTP/1.1 200"
    # With more than there is room for, the oldest are dropped.
    more = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(20)]
    assert ask(port)[0].status == 200
    assert slow[1].recv(1) == b"" and more[0].recv(1) == b""
    for s in slow + more:
        s.close()
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 0, child.returncode
finally:
    child.kill()

child, port = start("--count", "2", where="127.0.0.1:0")
try:
    assert ask(port)[0].status == 200
    assert ask(port)[0].status == 200
    assert child.wait(10) == 0, "it goes on after --count"
finally:
    child.kill()
