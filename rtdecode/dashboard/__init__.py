"""The operator's page: a subscriber in a process of its own, seen in a browser."""
