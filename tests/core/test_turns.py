"""Turns: few compute, many may wait, in the order they came."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

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


def test_the_first_to_come_is_the_first_to_be_served():
    gate, served = Turnstile(1), []
    gate.acquire()

    def come(number):
        gate.acquire()
        served.append(number)
        gate.release()

    threads = []
    for number in range(10):
        threads.append(threading.Thread(target=come, args=(number,)))
        threads[-1].start()
        eventually(lambda number=number: len(gate._queue) == number + 1)
    gate.release()
    for thread in threads:
        thread.join()
    assert served == list(range(10))
