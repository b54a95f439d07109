"""The real server on a real socket: large, slow, broken and vanishing clients."""

from __future__ import annotations

import json
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from web_fakes import FakePredictor, app_of, connect, serving
from web_pictures import jpeg

from handbench.errors import HandbenchError
from handbench.web.server import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(app_of(FakePredictor(), upload_s=1.0)) as running:
        yield running


def dial(server: Server) -> socket.socket:
    host, port = server.address.removeprefix("http://").rstrip("/").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def head(length: int, more: str = "") -> bytes:
    return (
        "POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {length}\r\n{more}\r\n"
    ).encode()


def answer_of(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """Status and document of what comes until the other side closes."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        length = 0
        while (line := stream.readline().strip()) != b"":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status, json.loads(stream.read(length))


def healthy(server: Server) -> bool:
    connection = connect(server)
    connection.request("POST", "/api/v1/predict", jpeg(), {"Content-Type": "image/jpeg"})
    found = connection.getresponse().status == 200
    connection.close()
    return found


def test_a_connection_serves_many_pictures(server: Server) -> None:
    connection = connect(server)
    for _ in range(3):
        connection.request("POST", "/api/v1/predict", jpeg(), {"Content-Type": "image/jpeg"})
        response = connection.getresponse()
        assert response.status == 200
        assert len(json.loads(response.read())["hand"]["keypoints"]) == 21
        assert response.headers["Server"] == "handbench"
    connection.close()


def test_a_chunked_body_is_a_body(server: Server) -> None:
    connection = connect(server)
    pieces = (jpeg()[k : k + 1000] for k in range(0, len(jpeg()), 1000))
    connection.request(
        "POST",
        "/api/v1/predict",
        pieces,
        {"Content-Type": "image/jpeg", "Transfer-Encoding": "chunked"},
        encode_chunked=True,
    )
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("size", [1_050_000, 20_000_000])
def test_who_sends_too_much_can_read_why(server: Server, size: int) -> None:
    with dial(server) as connection:
        connection.sendall(head(size) + bytes(size))
        status, document = answer_of(connection)
    assert (status, document["code"]) == (413, "too_large")
    assert "at most 1 MB, found" in str(document["detail"])
    assert healthy(server)


def test_who_asks_before_sending_too_much_hears_no_at_once(server: Server) -> None:
    with dial(server) as connection:
        connection.sendall(head(20_000_000, "Expect: 100-continue\r\n"))
        assert answer_of(connection)[0] == 413


def test_who_asks_before_sending_a_picture_may(server: Server) -> None:
    with dial(server) as connection:
        connection.sendall(head(len(jpeg()), "Expect: 100-continue\r\n"))
        assert connection.recv(25).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(jpeg())
        assert answer_of(connection)[0] == 200


def test_an_absurd_length_is_refused_without_reading(server: Server) -> None:
    with dial(server) as connection:
        connection.sendall(head(10**15))
        assert answer_of(connection)[0] == 413


def test_endless_chunks_are_cut_off(server: Server) -> None:
    piece = b"10000\r\n" + bytes(65536) + b"\r\n"
    with dial(server) as connection:
        connection.sendall(
            b"POST /api/v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe|aborted"):
            for _ in range(4000):
                connection.sendall(piece)
    assert healthy(server)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbroken header\r\n\r\n", 400),
        (head(0).replace(b"Content-Length: 0", b"Content-Length: -5"), 400),
        (head(0).replace(b"Content-Length: 0", b"Content-Length: many"), 400),
        (head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: gzip"), 501),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
    ids=["nonsense", "header", "negative length", "length in words", "coding", "long", "TLS"],
)
def test_what_is_no_http_gets_a_sentence(server: Server, request_: bytes, status: int) -> None:
    with dial(server) as connection:
        connection.sendall(request_)
        found, document = answer_of(connection)
    assert found == status
    assert str(document["detail"]).startswith("Expected ")
    assert document["request_id"]


def test_a_picture_is_never_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file was asked for")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    large = jpeg(1000, 800)
    large = large + bytes(990_000 - len(large))
    body = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        + large
        + b"\r\n--x--\r\n"
    )
    with serving(app_of(FakePredictor())) as own:
        connection = connect(own)
        for address in ("/api/v1/predict", "/"):
            connection.request(
                "POST", address, body, {"Content-Type": "multipart/form-data; boundary=x"}
            )
            response = connection.getresponse()
            assert response.status == 200
            assert response.read()
        connection.close()


def test_a_slow_client_costs_no_thread_and_is_put_off() -> None:
    with serving(app_of(FakePredictor(), upload_s=1.0, workers=1, queue=1)) as own:
        slow = [dial(own) for _ in range(20)]
        for connection in slow:
            connection.sendall(head(len(jpeg())) + jpeg()[:10])
        assert healthy(own), "twenty clients that dawdle keep nobody waiting"
        began = time.monotonic()
        for byte in jpeg()[10:]:  # a byte now and then does not help
            try:
                slow[0].sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(0.05)
            if time.monotonic() - began > 20:
                raise AssertionError("it was never put off")
        for connection in slow[1:]:
            assert connection.recv(1) == b"", "the server closed it"
        for connection in slow:
            connection.close()
        assert healthy(own)


def test_a_client_that_goes_away_harms_nobody() -> None:
    hold = threading.Event()
    fake = FakePredictor()
    with serving(app_of(fake, workers=1)) as own:
        for stop in (5, 150, 1000):  # in the header, at its end, in the body
            with dial(own) as connection:
                connection.sendall((head(len(jpeg())) + jpeg())[:stop])
        fake.hold = hold
        for _ in range(3):  # while the model looks, politely and with a reset
            connection = dial(own)
            connection.sendall(head(len(jpeg())) + jpeg())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        hold.set()
        assert healthy(own)


def until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("it never happened")


def test_a_full_queue_says_so_and_pages_still_come() -> None:
    hold = threading.Event()
    app = app_of(FakePredictor(hold=hold), workers=1, queue=2)
    pool = app.extensions["handbench"].pool
    with serving(app) as own:
        waiting = []
        for busy, queued in ((1, 0), (1, 1), (1, 2)):
            waiting.append(dial(own))
            waiting[-1].sendall(head(len(jpeg())) + jpeg())
            until(lambda busy=busy, queued=queued: (pool.busy, pool.waiting) == (busy, queued))
        with dial(own) as late:
            late.sendall(head(len(jpeg())) + jpeg())
            status, document = answer_of(late)
        assert (status, document["code"]) == (429, "busy")
        page = connect(own)
        page.request("GET", "/healthz")
        assert page.getresponse().status == 200
        page.close()
        hold.set()
        for connection in waiting:
            assert answer_of(connection)[0] == 200
            connection.close()


def test_addresses_of_visitors_come_from_a_trusted_proxy_alone() -> None:
    for trusted, expected in (("127.0.0.1", [200, 200]), ("", [200, 429])):
        with serving(app_of(FakePredictor(), per_minute=1), trusted) as own:
            connection = connect(own)
            statuses = []
            for visitor in ("192.0.2.1", "192.0.2.2"):
                headers = {"Content-Type": "image/jpeg", "X-Forwarded-For": visitor}
                connection.request("POST", "/api/v1/predict", jpeg(), headers)
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)
            connection.close()
        assert statuses == expected


def test_a_port_that_is_taken(server: Server) -> None:
    port = int(server.address.rstrip("/").rsplit(":", 1)[1])
    with pytest.raises(HandbenchError, match=f"cannot listen on 127.0.0.1 port {port}: .+; choose"):
        Server(app_of(), port=port)


def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(HandbenchError, match=r"cannot listen on no\.such\.host\.invalid"):
        Server(app_of(), "no.such.host.invalid", 0)
