"""Facts as people read them. Pure: a view is given facts and returns what is printed."""
