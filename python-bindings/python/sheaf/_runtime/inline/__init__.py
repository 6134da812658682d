"""``init(local_mode=True)``: tasks and methods run where they are called, in this thread, so that breakpoints work.

``client.InlineClient`` stands in for the connection to a node: a call has run when ``remote`` returns, and its result
is kept by the references to it. All else, from pickled arguments to the kinds of errors, is as elsewhere.
"""
