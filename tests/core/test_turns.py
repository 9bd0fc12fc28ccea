"""Turns: few compute, many may wait, and nobody for long."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from core import turns
from core.turns import TURNS, Turnstile, turn, waiting
from tests.processes import eventually


def test_no_more_compute_at_once_than_there_are_turns():
    busy, most, lock = 0, 0, threading.Lock()
    full = threading.Event()

    def work(_):
        nonlocal busy, most
        with turn():
            with lock:
                busy += 1
                most = max(most, busy)
                if busy == TURNS:
                    full.set()
            assert full.wait(10)
            with lock:
                busy -= 1

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, range(100)))
    assert most == TURNS


def test_who_waits_holds_up_nobody():
    done = threading.Event()

    def wait(_):
        with turn(), waiting():
            return done.wait(10)

    with ThreadPoolExecutor(2 * TURNS) as pool:
        waits = [pool.submit(wait, n) for n in range(2 * TURNS)]
        with turn():
            done.set()
        assert all(each.result() for each in waits)


def test_a_turn_is_given_back_whatever_happens():
    for _ in range(2 * TURNS):
        with pytest.raises(RuntimeError), turn(), waiting():
            raise RuntimeError
    with turn():
        pass


def test_without_a_turn_waiting_is_nothing():
    with waiting(), waiting():
        pass


def come_to(gate, numbers, *, served, urgent=False):
    """Threads that wait at the gate, in this order, and note when they are let in."""

    def come(number):
        gate.acquire(urgent=urgent)
        served.append(number)
        gate.release()

    threads = []
    for number in numbers:
        queue = gate._urgent if urgent else gate._queue
        before = len(queue)
        threads.append(threading.Thread(target=come, args=(number,)))
        threads[-1].start()
        eventually(lambda queue=queue, before=before: len(queue) == before + 1)
    return threads


def let_in(gate, threads):
    gate.release()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_who_has_waited_for_long_comes_next_in_order(monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0)
    gate, served = Turnstile(1), []
    gate.acquire()
    let_in(gate, come_to(gate, range(10), served=served))
    assert served == list(range(10))


def test_who_is_half_done_comes_before_those_who_begin():
    gate, served = Turnstile(1), []
    gate.acquire()
    threads = come_to(gate, range(3), served=served)
    threads += come_to(gate, ["half", "done"], served=served, urgent=True)
    let_in(gate, threads)
    assert served[:2] == ["half", "done"]
    assert set(served[2:]) == {0, 1, 2}


def test_nobody_is_forgotten_where_many_come_and_go():
    gate, inside, most = Turnstile(2), [], []

    def work(number):
        for _ in range(200):
            gate.acquire(urgent=number % 3 == 0)
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)
            gate.release()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16), timeout=60))
    assert max(most) <= 2
    assert (gate._free, len(gate._queue), len(gate._urgent)) == (2, 0, 0)


@contextmanager
def long_turns():
    """All turns are held, until the event that this gives is set."""
    done = threading.Event()

    def compute(_):
        with turn():
            return done.wait(20)

    with ThreadPoolExecutor(TURNS) as pool:
        slow = [pool.submit(compute, n) for n in range(TURNS)]
        eventually(lambda: len(turns._held) == TURNS)
        yield done
        assert all(each.result() for each in slow)
    assert turns._turns._free == TURNS


def test_a_turn_that_is_held_for_long_is_lent_to_others(monkeypatch):
    monkeypatch.setattr(turns, "LONG_SECONDS", 0)
    with long_turns() as done:
        turns.lend()
        with turn():
            done.set()


def test_turns_are_lent_once_somebody_waits_and_not_looked_after_before(monkeypatch):
    monkeypatch.setattr(turns, "LONG_SECONDS", 0.01)
    turns._turns.rest()
    with ThreadPoolExecutor(1) as pool, long_turns() as done:
        lender = pool.submit(turns.lend_to_who_waits)
        assert not turns._turns.wanted.is_set()
        with turn():
            assert lender.result(20) is None
            done.set()
    turns._turns.rest()
    assert not turns._turns.wanted.is_set()
