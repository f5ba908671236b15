// Package node is what the nodes of one log say to each other: a node that
// follows forwards appends to the one that holds the log, and hears of it what
// it published.
//
// What travels are drafts and records as they stand in the log: sealed already,
// so that no secret of a person is readable on the way; what is public in an
// event is. Both directions are authenticated by a key that the instance's own
// secrets give, bound to the log, the time, a nonce and the body; no body is
// read before its header is known to be of a node. Within the window of time a
// request may be replayed by whoever overheard it: it does nothing, for its
// command id has done its work.
//
// It promises that an error says whether the append may have happened: ErrMoved
// and every other verdict of the holder are authenticated, and whatever is not
// certain is fault.Unknown. Encryption is not its business: give the nodes TLS,
// or a network of their own. Design: docs/adr/0016-several-nodes.md.
package node
