"""Leading this process's AWS clients to a stage."""

from __future__ import annotations

from devstack.aws import access
from devstack.settings import Settings
from operations import environment
from operations.stages import EMBEDDED


def reach(stage: str) -> None:
    """Prepare the environment for boto3: the embedded AWS that runs for stage `local`, else whatever yours says.

    Raises DevstackError if the stage is `local` and no devstack runs on DRAGONPOST_STATE.
    """
    if stage == EMBEDDED:
        environment.adopt(access.environment(Settings.from_environment()))
