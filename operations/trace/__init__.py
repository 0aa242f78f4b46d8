"""One id, one timeline: what happened to a request, a message or a dragon, in order."""
