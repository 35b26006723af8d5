"""CURVE keys: they identify a client on another computer, and the service to its clients."""

from rtdecode.keys.curve import Doorkeeper, lock, unlock
from rtdecode.keys.files import (
    KeyEntry,
    ServiceKeys,
    allow,
    client_keys,
    default_folder,
    list_keys,
    new_client,
    new_service,
    service_keys,
)

__all__ = [
    "Doorkeeper",
    "KeyEntry",
    "ServiceKeys",
    "allow",
    "client_keys",
    "default_folder",
    "list_keys",
    "lock",
    "new_client",
    "new_service",
    "service_keys",
    "unlock",
]
