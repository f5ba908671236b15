package verify

// Code names a kind of finding. Codes are stable: tools may rely on them.
type Code string

// What can be wrong with a log, or with a receipt.
const (
	LeafMalformed Code = "leaf.malformed" // bytes that no conforming writer produces
	LeafAltered   Code = "leaf.altered"   // not the record that its successor names
	PositionGap   Code = "position.gap"   // records are missing
	PositionWrong Code = "position.wrong" // a record stands twice, or not where it says
	EventRepeated Code = "event.repeated" // an event id occurs twice
	LogOther      Code = "log.other"      // the record belongs to another log
	ChainBroken   Code = "chain.broken"   // names another predecessor than the tree holds
	StreamBroken  Code = "stream.broken"  // version or chain of its stream does not continue
	TimeBack      Code = "time.back"      // earlier than the record before

	TreeRoot            Code = "tree.root"            // a checkpoint of this log has another root
	Fork                Code = "fork"                 // two histories: another root than one kept apart, or signed twice
	Rollback            Code = "rollback"             // shorter than something signed or kept apart
	CheckpointMalformed Code = "checkpoint.malformed" // not a checkpoint
	CheckpointSignature Code = "checkpoint.signature" // not signed by the key
	CheckpointOther     Code = "checkpoint.other"     // of another log
	CheckpointOrder     Code = "checkpoint.order"     // smaller than the one stored before it

	CiphertextDigest  Code = "ciphertext.digest"  // not the bytes that the leaf names
	CiphertextLost    Code = "ciphertext.lost"    // missing, and no erasure covers it
	CiphertextExtra   Code = "ciphertext.extra"   // belongs to no block
	KeyShared         Code = "key.shared"         // one key id under two subjects
	KeySecond         Code = "key.second"         // a second key for one subject
	KeyAfter          Code = "key.after"          // used after its erasure
	KeyLost           Code = "key.lost"           // the key store cannot open it, and no erasure covers it
	ErasureIncomplete Code = "erasure.incomplete" // does not list the key in use

	TagsIndex        Code = "tags.index"        // the index differs from the leaf
	SealOpen         Code = "seal.open"         // does not decrypt under its key
	SealPlaintext    Code = "seal.plaintext"    // decrypts to something malformed
	CommitmentDiffer Code = "commitment.differ" // the commitment is not to this value

	ReceiptMalformed Code = "receipt.malformed" // not a receipt
	ReceiptProof     Code = "receipt.proof"     // the proof does not lead to the checkpoint
	KeyMalformed     Code = "key.malformed"     // the verifier key given is not one
)

// Error says that one thing (a leaf, a checkpoint, a receipt) was refused, and why.
type Error struct {
	Code Code
	Msg  string
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Msg }
