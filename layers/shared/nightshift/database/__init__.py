"""The control plane: addresses and TLS (`url`), connections (`connect`), descriptions of users' tables (`catalog` and
one module a dialect), our own tables (`tables`), the single-run lock (`lock`), the run history (`history`)."""
