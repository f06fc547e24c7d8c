"""nightshift: the night crew of a small AI service.

The shared layer: what every scheduled function uses. Ground floor first: `errors`, `run`, `results`,
`settings`; then `database`, `slack` and `store`; then `rows` (the data plane) and `archive` (the protocol);
`runtime` holds the frame that every handler runs in.
"""

__version__ = "0.1.0"
