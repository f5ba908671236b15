package sim

// Bugs are mistakes that can be put into a run, to see that it finds them. They
// live in what the simulation puts around the server, not in the server.
type Bugs struct {
	NoCondition    bool // events are appended whatever came between
	NarrowQuery    bool // a new address does not rest on who has it
	NoIdempotence  bool // the log forgets what commands did
	NoErasureFence bool // the log forgets who was erased
	PastMark       bool // views read what is shown and not durable yet
	EarlyAck       bool // the store says yes before it has synced
	NoFence        bool // the store takes a batch wherever the log is by then
	AnyClock       bool // the log goes on however far the clock runs behind
	RegisterBeside bool // the register is put back together with the log
	KeepsFamily    bool // a refresh token that was used twice ends nothing

	// Of several nodes.
	AckFirst    bool // the holder acknowledges before others may read it
	MarkShown   bool // others read to what is shown and not durable yet
	NothingDone bool // a forwarded append whose answer is lost is said not to have happened
	GoesOn      bool // a holder is not told that another has taken the log
	KeepsKeys   bool // a node keeps a key in memory that another destroyed
}
