"""The extended set: corruptions of other benchmarks and of medicine's own, as exact as the seven.

Each of the four packages has a module a group of kernels, of the same names: `lookup` the integer tables that the
backends share, `cpu` and `gpu` the kernels, `literature` the published formulas. docs/corruptions.md defines them all.
"""
