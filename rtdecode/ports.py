"""The usual ports of a service, and the endpoints that they make."""

OUTCOMES_PORT, CONTROL_PORT, INGEST_PORT = 7801, 7802, 7803

OUTCOMES, CONTROL, INGEST = (
    f"tcp://127.0.0.1:{port}" for port in (OUTCOMES_PORT, CONTROL_PORT, INGEST_PORT)
)
"""Default ports of a service."""
