"""Django's entry for the gateway; stands before the admin, which imports the modules' pages."""

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gateway.kit"
    label = "gateway"
    verbose_name = "Gateway"

    def ready(self) -> None:
        """Look at what Django will import of the modules, before it does."""
        from gateway.kit import checks, modules  # noqa: F401 - checks registers itself

        modules.examine()
