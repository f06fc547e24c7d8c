"""nightshift: the night crew of a small AI service.

The shared layer of all scheduled functions. Dependencies come first: `errors`, `run`, `results`, `settings`; then
`database`, `slack` and `store`; then `rows` (the data plane) and `archive` (the protocol). `runtime` runs every
handler's job.
"""

import gc
import os
import sys

from nightshift.layer_bundle import install_bundles

__version__ = "0.1.0"

if "awslambdaric" in sys.modules:
    # A function is being loaded. Collections on the way find no garbage and cost an eighth of a cold start.
    # `runtime.run_job` switches them on again.
    gc.disable()
    install_bundles(os.path.dirname(__path__[0]))
