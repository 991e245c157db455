"""Workspaces that methods share: around one solver, a plane at a time by a network, slice by slice by a solver."""
