"""The report: one HTML file that opens offline.

Result -> collect -> page (every number, typed) -> figures, pictures -> html -> one file
"""
