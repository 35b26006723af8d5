"""The operator's page in the browser; its server is a separate process."""
