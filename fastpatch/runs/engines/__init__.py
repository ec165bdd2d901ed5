"""What takes a batch of trajectories down the time grid, one engine a kind of model and machine.

An engine holds the states, advances them many steps a call, and measures mode derivatives on the way, which costs
little while the posterior is at hand. `fastpatch.runs.chunks` has one more, for lattices in chunks.
"""
