"""The operator's commands: `python -m nightshift plan | archives | verify | restore | backups | restore-backup | …`.

One command, one module under `commands/`, which reads the command line and asks the same rooms that the handlers use;
what people see is made under `views/`. A command's module imports click alone at its top and the heavy rooms where it
works: `--help` and TAB answer in a tenth of a second. stdout carries the answer and nothing else; progress, warnings
and errors go to stderr. It stays at home: click and rich are in no Lambda layer.
"""
