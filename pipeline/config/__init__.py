"""params.yaml: the types of its values, its section ``benchmark``, lists multiplied out, and all of it validated."""
