"""HTTP shared by the services: problems, permissions, parsing, idempotency, limits."""
