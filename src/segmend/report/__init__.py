"""What was measured, as files for people: of an evaluation, of a reproduction, of a comparison.

Tables are always written. Plots need matplotlib; where it is missing, one sentence says how to install it.
"""

from segmend.report.evaluation import figure, objects_table, sets_table, write

__all__ = ["figure", "objects_table", "sets_table", "write"]
