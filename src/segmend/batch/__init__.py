"""Many cases, one after the other: which there are, how each is answered, and a table of what came."""
