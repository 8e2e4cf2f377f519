"""What strangers may send, made by code and given to the real command line."""
