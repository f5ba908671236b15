package exchange

// The readers of what strangers send, for tests.
var (
	ReadPage     = page
	ReadVerdicts = verdicts
)
