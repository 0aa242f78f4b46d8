"""Dragonpost on the local machine: an embedded AWS with both stacks deployed into it, and the API in front of it.

`.venv/bin/python -m devstack run` is the parent of two children: the emulator (`devstack.aws`) and the API server
(`devstack.server`). `token` and `reset` are the two other commands. None of this goes into the Lambda package.
"""
