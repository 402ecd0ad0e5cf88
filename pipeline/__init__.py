"""Clean source to released files; one module a stage, which meet on disk and never import each other."""
