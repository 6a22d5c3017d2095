"""A remote-write sender: columns of samples in, delivered requests out.

It knows nothing of spans. ``series`` is what it takes, ``encode`` turns that into
requests, ``client`` sends one request and says what its answer means, ``sender``
owns queues, retries and the promise of delivery.
"""
