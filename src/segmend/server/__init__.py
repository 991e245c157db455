"""The server: the library over HTTP and WebSocket; the library does not know it."""
