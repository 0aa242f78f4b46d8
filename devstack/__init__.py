"""Dragonpost's embedded AWS: MiniStack with both stacks deployed into it, and the API on the local machine.

`python -m devstack run` is the parent of two children, the emulator and the API server; `token` and `reset` are
the two other commands. Nothing of this goes into the Lambda package.
"""
