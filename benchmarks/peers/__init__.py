"""One file a peer: the same workloads, written as that framework's users write them."""
