"""nightshift: the night crew of a small AI service.

The shared layer of all scheduled functions. Dependencies come first: `errors`, `run`, `results`, `settings`; then
`database`, `slack` and `store`; then `rows` (the data plane) and `archive` (the protocol). `runtime` runs every
handler's job.
"""

__version__ = "0.1.0"
