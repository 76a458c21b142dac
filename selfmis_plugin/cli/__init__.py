"""The command ``selfmis``, a module a command."""
