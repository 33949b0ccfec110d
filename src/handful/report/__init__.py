"""The report: one HTML file that opens offline.

    Result -> page (every number, typed) -> figures and pictures -> templates -> one file
"""
