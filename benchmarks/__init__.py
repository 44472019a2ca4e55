"""Speed and memory against plain implementations, peers, and the machine's own limit."""
