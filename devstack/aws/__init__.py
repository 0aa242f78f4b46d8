"""The embedded AWS: MiniStack, what is deployed into it, and what it starts with."""
