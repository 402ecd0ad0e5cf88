"""Generate corrupted cells: of one data set under one corruption, or of many; and the record of what lies there."""
