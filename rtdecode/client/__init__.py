"""The interface for stimulus programs: each outcome once and in order.

A working stimulus program::

    from rtdecode.client import Outcomes

    for outcome in Outcomes("tcp://127.0.0.1:7801"):
        print(outcome.index, outcome.label, outcome.probabilities)
"""

from rtdecode.client.asynchronous import AsyncOutcomes
from rtdecode.client.control import Control
from rtdecode.client.find_endpoints import session_endpoints
from rtdecode.client.outcomes import Outcomes
from rtdecode.ports import CONTROL, OUTCOMES

__all__ = ["CONTROL", "OUTCOMES", "AsyncOutcomes", "Control", "Outcomes", "session_endpoints"]
