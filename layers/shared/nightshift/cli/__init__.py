"""The operator's commands: `python -m nightshift plan | archives | verify | restore | backups | restore-backup | …`.

Each command is one module under `commands/`, which reads the command line, calls the same packages as the handlers, and
formats the answer. A command's module imports click alone at its top and heavy packages in its functions: `--help` and
TAB answer in a tenth of a second. stdout has the answer and nothing else; progress, warnings and errors go to stderr.
The CLI is not deployed: click and rich are in no Lambda layer.
"""
