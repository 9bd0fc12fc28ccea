"""Django's entry for the payment service."""

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = "Payments"

    def ready(self) -> None:
        """Register the payments' checks, and their parts of `manage.py doctor` and `demo`."""
        from core import demo
        from payments import checks, diagnosis  # noqa: F401 - they register themselves
        from payments.demo import Subscriptions

        demo.register(Subscriptions())
