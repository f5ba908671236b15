// Package react is for durable subscribers: whoever is to learn of events and
// do something outside, once the events are in the log.
//
// What it promises: every event that a subscriber selects is handed out at least
// once; those of one stream one after the other, each only when the one before
// it was settled; nothing is lost by a crash, and several nodes may work on one
// subscriber. An event that fails is tried again with growing pauses, and is a
// dead letter after its last try: it holds up its own stream, and no other, until
// somebody has it redriven or discarded.
//
// What it does not: it does not hand an event out only once. A receiver knows
// a repetition by the event's id.
//
// How far a subscriber is, is a Cursor. It holds positions, no contents, and is
// kept beside the log (eventlog.Store.SwapCursor): it is the state of a delivery,
// not what happened. Every change to it is a comparison with what it was, so that
// of two nodes that work on it at once, one is refused. Design:
// docs/adr/0021-subscriptions.md.
package react
