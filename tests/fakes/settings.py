"""The settings of a stage as plain values, from which each collaborator takes what it needs."""

from dataclasses import dataclass

from tests.fakes.step_functions import STATE_MACHINE_ARN
from tests.lambda_events import AUDIENCE


@dataclass
class FakeSettings:
    """The values of `chalicelib.settings.Settings`. Tests may change them while the service runs."""

    stage: str = "local"
    allow_origin: str = "https://dragonpost.example"
    user_pool_client_id: str = AUDIENCE
    dragon_data_bucket_name: str = "dragons"
    dragon_data_file_name: str = "dragons.json"
    dragon_store: str = "s3"
    dragon_table_name: str = "dragon-table"
    dragon_workflow_arn: str = STATE_MACHINE_ARN
    message_archive_bucket_name: str = "archive"
    message_table_name: str = "table"
    archive_retention_days: str = "0"
    submission_table_name: str = "submissions"
    message_queue_url: str = "https://sqs.us-east-1.amazonaws.com/123456789012/queue"
    message_dead_letter_queue_url: str = "https://sqs.us-east-1.amazonaws.com/123456789012/dead"
