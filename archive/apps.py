"""Django's entry for the archive service."""

from django.apps import AppConfig


class ArchiveConfig(AppConfig):
    name = "archive"
    verbose_name = "Archive"

    def ready(self) -> None:
        """Register the checks of the archive, of its settings and as it runs."""
        from archive import checks, diagnosis  # noqa: F401 - they register themselves
