"""What the stand-in Hub does with clients that go away: a killed push must leave nothing that a whole one would not."""

from __future__ import annotations

import hashlib
import socket
import time

from tests.pipeline.hub.server import Hub, running


def begin_upload(hub: Hub, content: bytes, *, sent: int) -> socket.socket:
    """Send the head of an upload and the first `sent` bytes of its body."""
    client = socket.create_connection(("127.0.0.1", hub.server_port))
    path = f"/storage/{hashlib.sha256(content).hexdigest()}"
    client.sendall(f"PUT {path} HTTP/1.1\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content[:sent])
    return client


def test_an_upload_that_is_cut_off_is_not_kept() -> None:
    with running() as hub:
        begin_upload(hub, b"pixels", sent=3).close()
        hub.wait_until_gone()
        assert not hub.store.large
        assert not hub.requests


def test_waiting_for_clients_includes_one_whose_request_is_still_carried_out() -> None:
    with running() as hub:
        known = begin_upload(hub, b"other", sent=2)
        while not hub.clients:
            time.sleep(0.001)
        others = frozenset(hub.clients)
        begin_upload(hub, b"pixels", sent=6).close()
        hub.wait_until_gone(others)
        assert list(hub.store.large.values()) == [b"pixels"]
        known.close()
