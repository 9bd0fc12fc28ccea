"""The archive service: files that are checked, streamed and kept whole."""
