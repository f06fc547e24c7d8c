"""Shared code of all scheduled functions: the Lambda layer `shared`.

A package imports only packages of lower levels. The lowest level includes `errors`, `run`, `results` and `settings`.
The next level includes `database`, `slack` and `store`. Above are `rows`, which reads and writes rows and Parquet, and
`archive`, which moves rows to S3. `runtime` runs the job of every Lambda handler.
"""

__version__ = "0.1.0"
