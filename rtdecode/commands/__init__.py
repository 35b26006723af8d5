"""The commands, a module each: options and help here, and the work imported when one runs.

So `rtdecode --help` and wrong usage never wait for numpy, numba or sockets.
"""
