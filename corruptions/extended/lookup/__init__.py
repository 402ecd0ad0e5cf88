"""The integer tables of the extended kernels, as `corruptions.lookup` has those of the seven."""
