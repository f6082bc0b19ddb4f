"""Layers as files, verified on arrival."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed.errors import ProtocolError
from testbed.layerstore import LayerStore, digest_of

DATA = bytes(range(256)) * 40
DIGEST = digest_of(DATA)


@pytest.fixture
def store(tmp_path: Path) -> LayerStore:
    return LayerStore(tmp_path / "ap1" / "walker", tmp_path / "pool")


def arrive(store: LayerStore, data: bytes, offset_bytes: int = 0, digest: str = DIGEST) -> None:
    store.write(digest, offset_bytes, data)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "../../etc/passwd",
        "/etc/passwd",
        "ab" * 31,
        "AB" * 32,
        "ab" * 31 + "/.",
        "g" * 64,
        "ab" * 32 + "\n",
        "\u0661" * 64,
        "a" * 63 + "\0",
    ],
)
def test_what_is_no_digest_never_becomes_a_file_name(
    store: LayerStore, tmp_path: Path, digest: str
) -> None:
    (tmp_path / "pool" / "ab").write_bytes(b"x")
    for use in (store.path, store.read, store.discard, store.accept, store.link):
        with pytest.raises(ProtocolError, match="is no SHA-256 digest"):
            use(digest)
    with pytest.raises(ProtocolError, match="is no SHA-256 digest"):
        store.write(digest, 0, b"x")
    assert files(tmp_path) == ["pool/ab"]


def test_a_layer_of_ones_own_is_read_back(store: LayerStore, tmp_path: Path) -> None:
    assert store.put(DATA) == DIGEST
    assert store.put(memoryview(DATA)) == DIGEST
    assert store.read(DIGEST)[:] == DATA
    assert files(tmp_path) == [f"ap1/walker/{DIGEST}", f"pool/{DIGEST}"]


def test_a_layer_that_was_cut_off_goes_on_at_its_offset(store: LayerStore, tmp_path: Path) -> None:
    arrive(store, DATA[:4000])
    assert files(tmp_path) == [f"ap1/walker/{DIGEST}.part"]
    arrive(store, DATA[4000:], offset_bytes=4000)
    store.accept(DIGEST)
    assert store.read(DIGEST)[:] == DATA
    assert not store.path(DIGEST).with_suffix(".part").exists()


def test_a_corrupt_layer_is_refused_and_its_file_gone(store: LayerStore, tmp_path: Path) -> None:
    arrive(store, DATA[:-1] + b"\x00")
    with pytest.raises(ProtocolError, match="is corrupt"):
        store.accept(DIGEST)
    assert files(tmp_path) == []
    arrive(store, DATA)
    store.accept(DIGEST)
    assert store.read(DIGEST)[:] == DATA


def test_a_layer_that_lacks_bytes_is_refused(store: LayerStore, tmp_path: Path) -> None:
    arrive(store, DATA[:-1])
    with pytest.raises(ProtocolError, match="is corrupt"):
        store.accept(DIGEST)
    assert files(tmp_path) == []


def test_two_senders_of_one_layer_complete_it_together(store: LayerStore) -> None:
    arrive(store, DATA[:3000])
    arrive(store, DATA[:1000])
    arrive(store, DATA[3000:], 3000)
    arrive(store, DATA[1000:], 1000)
    store.accept(DIGEST)
    assert store.read(DIGEST)[:] == DATA


def test_what_is_written_after_a_layer_was_verified_does_not_change_it(
    store: LayerStore, tmp_path: Path
) -> None:
    arrive(store, DATA)
    store.accept(DIGEST)
    with pytest.raises(ProtocolError, match="bytes from 500 on, but 0 have come"):
        arrive(store, bytes(1000), 500)
    assert store.read(DIGEST)[:] == (tmp_path / "pool" / DIGEST).read_bytes() == DATA


def test_a_layer_discarded_as_it_is_verified_is_a_refusal(store: LayerStore) -> None:
    arrive(store, DATA)
    store.discard(DIGEST)
    with pytest.raises(ProtocolError, match="was discarded"):
        store.accept(DIGEST)


def test_servers_share_the_bytes_of_equal_layers(store: LayerStore, tmp_path: Path) -> None:
    client = LayerStore(tmp_path / "walker" / "walker", tmp_path / "pool")
    client.put(DATA)
    arrive(store, DATA)
    store.accept(DIGEST)
    linked = LayerStore(tmp_path / "ap2" / "walker", tmp_path / "pool")
    linked.link(DIGEST)
    linked.link(DIGEST)
    inodes = {s.path(DIGEST).stat().st_ino for s in (client, store, linked)}
    assert inodes == {(tmp_path / "pool" / DIGEST).stat().st_ino}


def test_discarding_leaves_the_pool_and_the_other_servers_as_they_are(
    store: LayerStore, tmp_path: Path
) -> None:
    other = LayerStore(tmp_path / "ap2" / "walker", tmp_path / "pool")
    other.put(DATA)
    store.link(DIGEST)
    arrive(store, b"part", digest="cd" * 32)
    mapped = store.read(DIGEST)
    for digest in (DIGEST, "cd" * 32, "ef" * 32):
        store.discard(digest)
    assert files(tmp_path) == [f"ap2/walker/{DIGEST}", f"pool/{DIGEST}"]
    assert mapped[:] == DATA  # a reader is not disturbed
    assert other.read(DIGEST)[:] == DATA


def test_a_layer_the_pool_lacks_cannot_be_linked(store: LayerStore) -> None:
    with pytest.raises(FileNotFoundError):
        store.link(DIGEST)


def test_servers_taking_in_one_layer_at_the_same_moment_all_have_it(tmp_path: Path) -> None:
    stores = [LayerStore(tmp_path / f"ap{i}" / "walker", tmp_path / "pool") for i in range(4)]
    with ThreadPoolExecutor(len(stores)) as threads:
        for number in range(30):
            data = DATA + bytes([number])
            digest, together = digest_of(data), threading.Barrier(len(stores))

            def take_in(
                store: LayerStore, data: bytes = data, digest: str = digest, together=together
            ) -> None:
                arrive(store, data, digest=digest)
                together.wait()
                store.accept(digest)

            list(threads.map(take_in, stores))
            assert all(store.read(digest)[:] == data for store in stores)


def test_the_pool_never_shows_a_layer_in_the_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (LayerStore(tmp_path / f"c{i}", tmp_path / "pool") for i in range(2))
    whole = Path.write_bytes
    met = False

    def write_with_a_pause(path: Path, data: bytes) -> int:
        nonlocal met
        if not met:
            met = True
            whole(path, data[:100])
            other.put(DATA)
            assert other.read(DIGEST)[:] == DATA
        return whole(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_with_a_pause)
    one.put(DATA)
    assert one.read(DIGEST)[:] == other.read(DIGEST)[:] == DATA
    assert files(tmp_path) == [f"c0/{DIGEST}", f"c1/{DIGEST}", f"pool/{DIGEST}"]
