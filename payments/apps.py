"""Django's entry for the payment service."""

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = "Payments"

    def ready(self) -> None:
        """Register the checks of the payments, of their settings and as they run."""
        from payments import checks, diagnosis  # noqa: F401 - they register themselves
