"""The parts of versus.py: what is asked for, the servers, the clients that wrk cannot be, and the report."""
