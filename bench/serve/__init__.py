"""A deployment of a scenario as a live server: the batching and admission that are simulated, for real.

It begins in :mod:`bench.serve.deployed`. Nothing is imported here: every replica is a process that
imports this package, and needs no simulator.
"""
