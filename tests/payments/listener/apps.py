"""Connects the receiver; installed by ``tests.listening`` only."""

from __future__ import annotations

import os

from django.apps import AppConfig
from django.conf import settings


class ListenerConfig(AppConfig):
    name = "tests.payments.listener"

    def ready(self) -> None:
        from payments.signals import any_event

        any_event.connect(heard, weak=False)


def heard(sender, event, stripe_object, **_):
    """One line for each call, whole whichever process writes it."""
    descriptor = os.open(settings.DATA_DIR / "heard", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{event['id']}\n".encode())
    os.close(descriptor)
