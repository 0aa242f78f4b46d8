"""Time that passes only when the code sleeps, or when the test says so."""


class FakeClock:
    """A clock and a sleep that belong together; `slept` lists every pause."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let that much time pass, without waiting."""
        self.slept.append(seconds)
        self.now += seconds
