"""Deploying one stage: `python -m operations.deploy --stage dev`."""
