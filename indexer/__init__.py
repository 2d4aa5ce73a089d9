"""Bulk indexing: finds, decodes, encodes and stores pictures. Internal, no stable API."""
