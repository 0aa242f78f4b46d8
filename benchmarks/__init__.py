"""`make bench`: what a request, a batch and a cold start cost here, beside peers that do the same."""
