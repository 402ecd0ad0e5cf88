"""The extended kernels of the backend ``cpu``, with the conventions of `corruptions.cpu`."""
