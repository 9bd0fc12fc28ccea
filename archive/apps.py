"""Django's entry for the archive service."""

from django.apps import AppConfig


class ArchiveConfig(AppConfig):
    name = "archive"
    verbose_name = "Archive"

    def ready(self) -> None:
        """Register the checks of the archive's settings."""
        from archive import checks  # noqa: F401 - it registers itself
