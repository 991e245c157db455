"""Sessions over HTTP and WebSocket: open sessions, their answers, masks, measures, and several readers."""
