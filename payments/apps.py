"""Django's entry for the payment service."""

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = "Payments"

    def ready(self) -> None:
        """Register the checks of the payments' settings."""
        from payments import checks  # noqa: F401 - it registers itself
