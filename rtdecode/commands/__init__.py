"""The commands, one module each. A module has options and help, and imports the work when it runs.

So `rtdecode --help` and wrong usage do not wait for numpy, numba or sockets.
"""
