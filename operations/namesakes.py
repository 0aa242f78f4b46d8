"""List the dragons that a stage does not show: `.venv/bin/python -m operations.namesakes --stage prod`.

If several entries of the dragon document have the same name, only the first is shown. This happens to entries that
people wrote, and to names that a newer version of the service compares as equal. Nothing is changed: to show another
entry, rename or remove one of them in the document.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

import boto3

from chalicelib.dragons.document import Document, DocumentCorrupt, moved_to
from operations.exit_status import exit_status
from operations.stages import STAGES

PLACE = ("dragon_data_bucket_name", "dragon_data_file_name")


def namesakes(document: Document) -> list[str]:
    """Return a line for each entry that is not shown. Names are in ASCII, because some look alike."""
    return [
        f"{json.dumps(entry.dragon_name_str)} is not shown: {json.dumps(shown.dragon_name_str)} comes first"
        for shown, *hidden in document.several.values()
        for entry in hidden
    ]


def _document(stage: str) -> bytes:
    """Return the stage's document. The stage `local` is the embedded AWS; its environment has the address."""
    if "AWS_ENDPOINT_URL" not in os.environ:
        os.environ.update(STAGES[stage].environment)
    ssm = boto3.client("ssm")
    bucket, key = (ssm.get_parameter(Name=f"/dragonpost/{stage}/{name}")["Parameter"]["Value"] for name in PLACE)
    body: bytes = boto3.client("s3").get_object(Bucket=bucket.strip(), Key=key.strip())["Body"].read()
    return body


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.namesakes", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    stage = parser.parse_args(arguments).stage

    def work() -> int:
        body = _document(stage)
        try:
            found = [] if moved_to(body) else namesakes(Document.parsed(body))  # elsewhere, a name is unique
        except DocumentCorrupt as corrupt:
            print(f"error: the dragon document is {corrupt}", file=sys.stderr)
            return 1
        print(f"{len(found)} not shown")
        for line in found:
            print(line)
        return 0

    return exit_status(work, may="read its parameters and bucket")


if __name__ == "__main__":
    sys.exit(main())
