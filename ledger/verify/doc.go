// Package verify checks a Muniment log, or one receipt from it, without
// trusting the server that wrote it.
//
// It imports nothing else of this module: what it knows, it knows from
// docs/record-format.md, so that a stranger can audit a log with this package
// alone, or write another verifier from the same page and compare. It opens no
// files and no connections; the caller brings a [Source].
//
// What a clean report promises: positions are contiguous from 1 and every leaf
// is canonical; both hash chains hold; time never goes back; every stored
// checkpoint is a prefix of this log, and carries the signature of the key the
// caller brought; every ciphertext is the one the leaf names, and every missing
// one was lawfully erased; no key served two subjects, and none was used after
// its erasure.
//
// What it does not promise: that the log's last record is the newest one, that
// what was recorded is true, or that an operator who rewrote everything,
// including the checkpoints, would be found out by someone who holds no earlier
// checkpoint. Without a key from outside, the best answer is [Consistent],
// never [Verified].
package verify
