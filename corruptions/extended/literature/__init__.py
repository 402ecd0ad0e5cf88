"""The published formulas of the extended kernels, with the conventions of `corruptions.literature`."""
