"""Functions of the user's inside plans: how they are made, and where they run."""
