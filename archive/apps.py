"""Django's entry for the archive service."""

from django.apps import AppConfig


class ArchiveConfig(AppConfig):
    name = "archive"
    verbose_name = "Archive"

    def ready(self) -> None:
        """Register the archive's checks, and its parts of `manage.py doctor` and `demo`."""
        from archive import checks, diagnosis  # noqa: F401 - they register themselves
        from archive.demo import Files
        from core import demo

        demo.register(Files())
