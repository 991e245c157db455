"""What viewers of others say to a server, one dialect a file: their requests become ordinary events of a session."""
