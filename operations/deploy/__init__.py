"""Deploying one stage: `.venv/bin/python -m operations.deploy --stage dev`."""
