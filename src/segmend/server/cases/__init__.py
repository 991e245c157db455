"""Cases over HTTP: uploads, archives, slides, exports, and how their files are read."""
