"""A page on which recordings are dropped, and what a model says of them is read.

By starlette and uvicorn, in pure Python: what is uploaded arrives in parts, so that a limit holds
before anything is kept, and no library puts a part of it on the disk.
"""
