"""Where a stage keeps what is looked for, by the names that the service's settings have."""

from __future__ import annotations

from functools import cached_property

from operations.stores import Standing


class Places:
    """The names of a stage's stores. What people may change is read from Parameter Store, once."""

    def __init__(self, stage: Standing) -> None:
        self._stage = stage
        self.message_archive_bucket_name = stage.resources["MessageBucket"]
        self.message_table_name = stage.resources["MessageTable"]
        self.message_queue_url = stage.resources["MessageQueue"]
        self.message_dead_letter_queue_url = stage.resources["MessageDeadLetterQueue"]
        self.submission_table_name = stage.resources["SubmissionTable"]
        self.dragon_workflow_arn = stage.resources["DragonWorkflow"]

    @cached_property
    def dragon_store(self) -> str:
        """The registry's home."""
        return self._stage.parameter("dragon_store")

    @cached_property
    def dragon_table_name(self) -> str:
        """The table that may be it."""
        return self._stage.parameter("dragon_table_name")

    @cached_property
    def dragon_data_bucket_name(self) -> str:
        """The bucket that may be it."""
        return self._stage.parameter("dragon_data_bucket_name")

    @cached_property
    def dragon_data_file_name(self) -> str:
        """The document in that bucket."""
        return self._stage.parameter("dragon_data_file_name")
