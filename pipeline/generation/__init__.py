"""Generate corrupted cells: of one data set under one corruption, or of many; record what lies there, and check it."""
