"""Methods answered in processes of their own, which may die or hang alone."""
