"""CURVE keys: who may connect from another computer, and proof to them of who answers."""

from rtdecode.keys.curve import Doorkeeper, lock, unlock
from rtdecode.keys.files import (
    ClientKeys,
    Listed,
    ServiceKeys,
    allow,
    client_keys,
    default_folder,
    listed,
    new_client,
    new_service,
    service_keys,
)

__all__ = [
    "ClientKeys",
    "Doorkeeper",
    "Listed",
    "ServiceKeys",
    "allow",
    "client_keys",
    "default_folder",
    "listed",
    "lock",
    "new_client",
    "new_service",
    "service_keys",
    "unlock",
]
