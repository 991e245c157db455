"""The tests of segmend.report."""
