"""Tools for the people who run Dragonpost; never part of the Lambda package."""
