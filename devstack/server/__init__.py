"""The local server: the app on http://127.0.0.1:8000, with tokens that are verified."""
