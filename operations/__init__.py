"""Tools for the people who run Dragonpost; never part of the Lambda package."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
