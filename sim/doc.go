// Package sim runs the whole server below the network, deterministically: the
// real sequencer, deciders, slices, sealing, checkpoints and erasures, on a
// store, a key store and a register that fail, in a bubble of simulated time.
//
// Whatever has an effect (an append, a commit, a sync, a destroyed key, a
// swapped register) waits on a bus, and a driver grants one at a time in an
// order that follows from the seed: done, failed and lost, or failed but kept.
// Meanwhile clients give random commands, repeat those whose outcome they do
// not know, and use command ids twice; nodes crash, restart from the log, and
// come back when another has taken over; batches arrive late, or twice; the
// clock jumps, also further back than the log bears with; at the end of some
// runs the disk is put back to an older state. A model that shares no code with
// the slices watches each record as it becomes durable.
//
// In a quarter of the runs two or three nodes share the log: they are cut from
// the store, pause until their leases have run out, are killed and join again;
// what they forward arrives late, twice or not at all, or its answer does not;
// the store loses what the holder published.
//
// In a sixth of the runs customers have events of their own: they are published
// in batches, with unique values and conditions, their entities are erased, their
// definitions change, and each is delivered to a receiver that fails (customs.go).
//
// One seed is one run. The trace of two runs of one seed is the same; event
// ids, keys and nonces, which come from the system's random source, are not,
// and neither are the hashes over them. What is checked is listed in check.go
// and model.go; bugs.go holds the bugs that the simulation must find.
//
// Design: docs/concepts.md, "The log". Run one seed again with
//
//	MUNIMENT_SIM_SEED=17 go test ./sim -run 'TestSim$' -v
package sim
