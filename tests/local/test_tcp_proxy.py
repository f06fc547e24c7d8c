"""The proxy in front of PostgreSQL cuts exactly where it says, so that tests of lost commits prove what they claim."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Iterator

import pg8000.native
import pytest

from local.chatlog import connect
from local.postgres import EmbeddedPostgres
from tests.support.tcp_proxy import TcpProxy


@pytest.fixture
def proxy(postgres: EmbeddedPostgres) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        yield proxy


@pytest.fixture
def table(database: str) -> str:
    with contextlib.closing(connect(database)) as connection:
        connection.run("CREATE TABLE kept (id int)")
    return database


def rows(url: str) -> int:
    with contextlib.closing(connect(url)) as connection:
        return int(connection.run("SELECT count(*) FROM kept")[0][0])


def insert(url: str) -> None:
    connection = connect(url)
    try:
        for statement in ("BEGIN", "INSERT INTO kept VALUES (1)", "COMMIT"):
            connection.run(statement)
    finally:
        with contextlib.suppress(pg8000.native.InterfaceError):
            connection.close()


def test_it_is_faithful_until_told_otherwise(proxy: TcpProxy, table: str) -> None:
    insert(proxy.through(table))
    assert rows(table) == 1


def test_a_commit_cut_on_its_way_in_never_happens(proxy: TcpProxy, table: str) -> None:
    cut = proxy.cut_when(b"COMMIT")
    with pytest.raises(pg8000.native.InterfaceError):
        insert(proxy.through(table))
    assert cut.happened.is_set()
    assert rows(table) == 0
    insert(proxy.through(table))
    assert (cut.fired, rows(table)) == (1, 1)


def test_a_commit_whose_answer_is_swallowed_has_happened(proxy: TcpProxy, table: str) -> None:
    cut = proxy.cut_when(b"COMMIT", after_forward=True)
    with pytest.raises(pg8000.native.InterfaceError):
        insert(proxy.through(table))
    assert cut.happened.is_set()
    assert rows(table) == 1


def test_an_answer_can_be_the_trigger(proxy: TcpProxy, table: str) -> None:
    cut = proxy.cut_when(b"INSERT 0 1", "server")
    with pytest.raises(pg8000.native.InterfaceError):
        insert(proxy.through(table))
    assert cut.happened.is_set()
    assert rows(table) == 0


def test_a_cut_waits_for_its_connection_and_its_turn(proxy: TcpProxy, table: str) -> None:
    other = proxy.cut_when(b"COMMIT", having=b"DELETE")
    second = proxy.cut_when(b"COMMIT", having=b"INSERT", skip=1)
    insert(proxy.through(table))
    with pytest.raises(pg8000.native.InterfaceError):
        insert(proxy.through(table))
    assert (other.fired, second.fired, rows(table)) == (0, 1, 1)


def test_cut_closes_what_is_open_and_refuse_what_comes(proxy: TcpProxy, table: str) -> None:
    connection = connect(proxy.through(table))
    assert proxy.cut() == 1
    with pytest.raises(pg8000.native.InterfaceError):
        connection.run("SELECT 1")
    proxy.refuse()
    with pytest.raises(pg8000.native.InterfaceError):
        insert(proxy.through(table))
    proxy.refuse(False)
    insert(proxy.through(table))
    assert rows(table) == 1


def test_what_is_held_arrives_when_its_sender_is_gone(proxy: TcpProxy, table: str) -> None:
    hold = proxy.hold_when(b"COMMIT", having=b"INSERT")
    sender = multiprocessing.get_context("spawn").Process(target=insert, args=(proxy.through(table),))
    sender.start()
    hold.happened.wait()
    sender.kill()
    sender.join()
    assert (hold.fired, rows(table)) == (1, 0)
    hold.release()
    while rows(table) == 0:
        time.sleep(0.01)


def test_a_cut_can_take_everything_with_it(proxy: TcpProxy, table: str) -> None:
    bystander = connect(proxy.through(table))
    cut = proxy.cut_when(b"COMMIT", everything=True)
    with pytest.raises(pg8000.native.InterfaceError):
        insert(proxy.through(table))
    assert cut.happened.is_set()
    with pytest.raises(pg8000.native.InterfaceError):
        bystander.run("SELECT 1")
    with pytest.raises(pg8000.native.InterfaceError):
        connect(proxy.through(table))
    assert rows(table) == 0
