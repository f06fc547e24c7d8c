"""One module per command. The click command is `<module>_command`, e.g. `plan.plan_command`."""
