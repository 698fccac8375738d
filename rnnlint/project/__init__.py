"""What lies on the disk: configuration, files, sources, the import graph, the sift and the cache.

This room knows bytes, paths and settings, and nothing of syntax trees or of torch.  It decides
which files exist, which of them may matter, how their bytes become text, how their imports lead
to each other, and what of an earlier run still holds.  Its modules are imported one by one, so
that a run which only prints stored findings loads as little as possible.
"""
