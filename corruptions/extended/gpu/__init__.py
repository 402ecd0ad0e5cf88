"""The extended kernels of the backend ``gpu``, with the conventions of `corruptions.gpu`."""

import corruptions.gpu  # noqa: F401  says what to install where torch or kornia is missing
