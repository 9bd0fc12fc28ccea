"""`manage.py stripe_standin`: a stand-in for Stripe, to try payments without an account."""

from __future__ import annotations

import threading
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.addresses import address

WEBHOOK = "/service/payment/v1/webhook/"
SECRET = "whsec_standin"  # noqa: S105 - it guards nothing


class Command(BaseCommand):
    help = "Serve a stand-in for Stripe on loopback, until Ctrl-C. Not for production."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=12111)
        parser.add_argument(
            "--webhook",
            default=address(settings.HOST, settings.PORT) + WEBHOOK,
            help="where events are sent",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            from payments.standin.server import Standin

            standin = Standin(port=options["port"], webhook=options["webhook"], secret=SECRET)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(
                f"Cannot listen on port {options['port']} ({error.strerror}): use --port."
            ) from None
        prices = ", ".join(standin.state.add_prices())
        standin.start()
        self.stdout.write(f"""The stand-in for Stripe serves on {standin.url}; its prices: {prices}.

Start Coglex in another terminal with

  STRIPE_SECRET_KEY=sk_test_standin STRIPE_WEBHOOK_SECRET={SECRET} \\
  STRIPE_API_BASE={standin.url} make run

Ctrl-C stops it.""")
        self.stdout.flush()
        try:
            _wait()
        except KeyboardInterrupt:
            standin.stop()


def _wait() -> None:
    """Until Ctrl-C."""
    threading.Event().wait()
