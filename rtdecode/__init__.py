"""rtdecode: a streaming real-time neurofeedback decoder for fMRI."""

__version__ = "0.1.0"
