"""Scripts for those who change Segmend; none of them is part of the package."""
