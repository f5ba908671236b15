package ops

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"muniment.dev/ledger/verify"
)

const clock = "2006-01-02 15:04:05 MST"

// count writes a number, and a noun.
func count[N int | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// number writes a number with separators.
func number[N int | uint64](n N) string {
	digits := strconv.FormatUint(uint64(n), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// writer writes lines; what cannot be written is nobody's to hear.
type writer struct{ io.Writer }

func (w writer) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func (w writer) item(name, format string, args ...any) {
	w.line("  %-12s %s", name, fmt.Sprintf(format, args...))
}

// WriteText writes the report for a person: the answer, where it is wrong and
// what shows it, what was looked at, and what to do.
func (r *Report) WriteText(out io.Writer) {
	w := writer{out}
	w.line("%s", r.answer())
	for i, f := range r.Findings {
		w.line("")
		writeFinding(w, i+1, f)
	}
	if r.Suppressed > 0 {
		w.line("\nand %s of the same kinds", count(r.Suppressed, "more finding", "more findings"))
	}
	w.line("")
	r.writeChecked(w)
	if advice := r.advice(); advice != "" {
		w.line("\n%s", advice)
	}
}

func (r *Report) answer() string {
	switch r.Verdict {
	case verify.Verified:
		s := fmt.Sprintf("VERIFIED: the log is what was signed, records 1 to %d of %d.", r.Signed, r.Size)
		if r.Size > r.Signed {
			s += fmt.Sprintf("\nThe last %d are under no signed checkpoint yet; they are only consistent with the others.", r.Size-r.Signed)
		}
		return s
	case verify.Consistent:
		if r.KeyName != "" {
			return fmt.Sprintf("CONSISTENT WITH ITSELF, not verified: none of the %d records is under a signed checkpoint yet.", r.Size)
		}
		return fmt.Sprintf("CONSISTENT WITH ITSELF, not verified: %s, held against no key.", count(r.Size, "record", "records"))
	case verify.Failed:
		s := fmt.Sprintf("FAILED: %s.", count(uint64(len(r.Findings))+r.Suppressed, "finding", "findings"))
		if r.FirstBad != 0 {
			s += fmt.Sprintf(" The first bad record is %d of %d.", r.FirstBad, r.Size)
		}
		return s
	}
	return fmt.Sprintf("NOT CHECKED to the end: stopped after record %d.", r.Size)
}

func writeFinding(w writer, n int, f verify.Finding) {
	where := ""
	switch {
	case f.First != 0 && f.First != f.Last:
		where = fmt.Sprintf(", records %d to %d", f.First, f.Last)
	case f.Position != 0:
		where = fmt.Sprintf(", record %d", f.Position)
	}
	w.line("%d. %s%s", n, f.Code, where)
	w.line("   %s", printable(f.Msg))
	for _, e := range f.Evidence {
		if !strings.Contains(e.Value, "\n") {
			w.line("   %s: %s", e.Name, printable(e.Value))
			continue
		}
		w.line("   %s:", e.Name)
		for _, line := range strings.Split(strings.TrimRight(e.Value, "\n"), "\n") {
			w.line("     | %s", printable(line))
		}
	}
}

// printable keeps what a log holds from controlling the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '·'
	}, s)
}

func (r *Report) writeChecked(w writer) {
	w.line("What was looked at")
	w.item("log", "%s", r.LogID)
	for _, g := range r.Generations[min(1, len(r.Generations)):] {
		w.item("generation", "%s from record %s on%s", g.LogID, number(g.First), lostIn(g.First, g.Lost))
	}
	if r.KeyName != "" {
		w.item("key", "%s", printable(r.KeyName))
	}
	span := ""
	if !r.From.IsZero() {
		span = fmt.Sprintf(", %s to %s by the operator's clock", r.From.Format(clock), r.Until.Format(clock))
	}
	w.item("records", "%s in %s%s", number(r.Records), count(r.Streams, "stream", "streams"), span)
	w.item("root", "%s", r.Root)
	w.item("checkpoints", "%s, the newest of %d records", count(r.Checkpoints, "agrees", "agree"), r.Agreed)
	w.item("register", "%s", r.Register)
	w.item("index", "%s, both ways", count(r.Postings, "entry", "entries"))
	w.item("sealed", "%s, %d lawfully erased", count(r.Sealed, "block", "blocks"), r.Erased)
	if r.Opened > 0 {
		w.item("opened", "%s, %s recomputed", count(r.Opened, "block", "blocks"), count(r.Commitments, "commitment", "commitments"))
	}
	done := 0
	for _, e := range r.Erasures {
		if !e.Pending() {
			done++
		}
	}
	if len(r.Erasures) > 0 {
		w.item("erasures", "%d complete, %d pending", done, len(r.Erasures)-done)
	}
	for _, e := range r.Erasures {
		if e.Pending() {
			w.item("", "pending: subject %s, recorded at %d (%s): %s and %s still there, key %s", e.Subject, e.Position, e.Time.Format(clock),
				count(e.Ciphertexts, "ciphertext", "ciphertexts"), count(e.Tags, "blind tag", "blind tags"), e.Key)
		}
	}
	w.item("took", "%s", time.Duration(r.Elapsed).Round(time.Millisecond))
}

func (r *Report) advice() string {
	switch r.Verdict {
	case verify.Failed:
		return "Stop writing, and copy the whole folder before you change anything in it. Compare with a\n" +
			"backup from before. See \"At three in the morning\" in docs/security-model.md."
	case verify.Consistent:
		if r.KeyName == "" {
			return "Whoever could replace the log could replace everything it was compared with. To verify it,\n" +
				"give the log's public key, from where you keep it: --key KEY."
		}
		return "Start the server to have a checkpoint signed, or wait a second and try again."
	}
	return ""
}

// writeReceipt writes what a receipt shows.
func writeReceipt(out io.Writer, r *verify.ReceiptReport) {
	w := writer{out}
	l := r.Leaf
	if r.Verdict == verify.Verified {
		w.line("VERIFIED: this record was in the log when its checkpoint of %s was signed.", count(r.Checkpoint.Size, "record", "records"))
	} else {
		w.line("CONSISTENT WITH ITSELF, not verified: held against no key.")
	}
	w.line("")
	w.item("log", "%s", printable(r.Checkpoint.Origin))
	w.item("record", "%d, %s by the operator's clock", r.Position, l.At().Format(clock))
	w.item("what", "%s (revision %d) in stream %s, version %d", printable(l.Type), l.Revision, printable(l.Stream), l.StreamVersion)
	w.item("who", "%s:%s", printable(l.Actor.Kind), l.Actor.ID)
	for _, t := range l.Tags {
		w.item("tag", "%s", printable(t))
	}
	if len(l.Public) > 0 {
		w.item("public", "%s", diagnose(l.Public))
	}
	if len(l.Context) > 0 {
		w.item("context", "%s", diagnose(l.Context))
	}
	for _, d := range r.Disclosed {
		w.item("disclosed", "%s of subject %s: %s", printable(d.Path), d.Subject, diagnose(d.Value))
	}
	sealed := 0
	for _, b := range l.Blocks {
		sealed += len(b.Commitments)
	}
	if hidden := sealed - len(r.Disclosed); hidden > 0 {
		w.item("sealed", "%s that this receipt does not open", count(hidden, "other field", "other fields"))
	}
	w.item("leaf hash", "%s", r.LeafHash)
	w.item("root", "%s", r.Checkpoint.Root)
	if r.Verdict != verify.Verified {
		w.line("\nGive the log's public key, from where you keep it, to verify it: --key KEY.")
	}
}

// diagnose writes CBOR in diagnostic notation (RFC 8949 §8).
func diagnose(b []byte) string {
	s, err := cbor.Diagnose(b)
	if err != nil {
		return fmt.Sprintf("%x", b)
	}
	return printable(s)
}
