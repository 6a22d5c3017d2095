"""The page at ``/`` of a worker, and the JSON it is made of.

A small read model beside the registry: each tick on its way to the sender is looked at,
and of each tenant the busiest operations and edges are kept, with the growth of the last
ticks. Nothing here is needed for the metrics to be right, and nothing here can hold them up.
"""
