"""The operator's commands: `python -m nightshift plan | archives | verify | restore | backups | restore-backup | …`.

Each command is one module under `commands/`. The module reads the command line, calls the same packages as the Lambda
handlers, and formats the answer. The module imports heavy packages only inside functions, so that `--help` and
completion on TAB answer in a tenth of a second. stdout has only the answer. Progress, warnings and errors go to stderr.
The CLI is not deployed: click and rich are in no Lambda layer.
"""
