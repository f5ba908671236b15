package verify

import (
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Verdict is the answer in a word. The zero value is not a verdict.
type Verdict string

const (
	// Verified: no finding, and the records up to [Report.Signed] stand under a
	// checkpoint signed by the key that the caller brought.
	Verified Verdict = "verified"
	// Consistent: no finding, but nothing from outside to hold the log against.
	Consistent Verdict = "consistent with itself"
	// Failed: at least one finding.
	Failed Verdict = "failed"
	// Incomplete: the verification was interrupted, or could not read something.
	Incomplete Verdict = "incomplete"
)

// Report is the result of verifying a log.
type Report struct {
	Verdict Verdict   `json:"verdict"`
	LogID   ID        `json:"log"`
	Size    uint64    `json:"size"` // records in the log
	Root    tlog.Hash `json:"root"` // of all of them; zero if damage made it unknowable
	// Signed is the size of the largest checkpoint that was verified with the
	// key and agrees with the log. Records after it are only consistent.
	Signed uint64 `json:"signed"`
	// Agreed is the size of the largest checkpoint, signed or not, or register
	// entry that agrees with the log.
	Agreed      uint64     `json:"agreed"`
	Records     uint64     `json:"records"`     // records read
	Streams     uint64     `json:"streams"`     // distinct streams
	Checkpoints uint64     `json:"checkpoints"` // stored checkpoints that agree
	Sealed      uint64     `json:"sealed"`      // sealed blocks
	Erased      uint64     `json:"erased"`      // of these, ciphertext lawfully missing
	Pending     uint64     `json:"pending"`     // erased in the log, ciphertext or blind tag still there
	Opened      uint64     `json:"opened"`      // blocks decrypted with keys
	Commitments uint64     `json:"commitments"` // commitments recomputed with keys
	Continues   *Continued `json:"continues,omitempty"`
	// Generations are those of the log, oldest first, if it has several. LogID is
	// the id of the first.
	Generations []Generation `json:"generations,omitempty"`
	FirstBad    uint64       `json:"firstBad,omitempty"` // first bad position; 0 if no record is to blame
	Findings    []Finding    `json:"findings,omitempty"`
	Suppressed  uint64       `json:"suppressed,omitempty"` // further findings, only counted
	Elapsed     Duration     `json:"elapsed"`
}

// Duration is a time.Duration written in JSON as text ("1.5s").
type Duration time.Duration

// MarshalText writes the duration as text.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Finding is one thing that is wrong, with what shows it.
type Finding struct {
	Code Code `json:"code"`
	// Position is the record to blame, or the first that may be; 0 if none is.
	Position uint64 `json:"position,omitempty"`
	// First and Last bound the records among which the fault lies: from after the
	// last good checkpoint up to the first bad one, or the records missing.
	First uint64 `json:"first,omitempty"`
	Last  uint64 `json:"last,omitempty"`
	// Checkpoint is the ordinal, from 1, of the stored checkpoint concerned.
	Checkpoint uint64     `json:"checkpoint,omitempty"`
	Msg        string     `json:"msg"`
	Evidence   []Evidence `json:"evidence,omitempty"`
}

// Evidence is a value that shows a finding: a hash in base64, or a signed note.
type Evidence struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Progress is told to Options.Progress now and then.
type Progress struct {
	Position uint64
	Findings int
	Elapsed  time.Duration
}

// String returns the finding in one line, without its evidence.
func (f *Finding) String() string {
	where := ""
	switch {
	case f.First != 0 && f.First != f.Last:
		where = fmt.Sprintf(" (records %d to %d)", f.First, f.Last)
	case f.Position != 0:
		where = fmt.Sprintf(" (record %d)", f.Position)
	}
	return string(f.Code) + where + ": " + f.Msg
}

// Summary returns the report in one line.
func (r *Report) Summary() string {
	switch r.Verdict {
	case Verified:
		s := fmt.Sprintf("verified: log %s, records 1 to %d", r.LogID, r.Signed)
		if r.Size > r.Signed {
			s += fmt.Sprintf("; the last %d are not under a signed checkpoint yet, they are only consistent", r.Size-r.Signed)
		}
		return s + r.generationText()
	case Consistent:
		return fmt.Sprintf("consistent with itself: log %s, %d records, held against nothing signed by a known key", r.LogID, r.Size) + r.generationText()
	case Failed:
		return fmt.Sprintf("failed: %d findings, first bad record %d of %d", uint64(len(r.Findings))+r.Suppressed, r.FirstBad, r.Size)
	}
	return fmt.Sprintf("incomplete: stopped after record %d", r.Size)
}

// generationText says which generations the log has, if several.
func (r *Report) generationText() (s string) {
	for i, g := range r.Generations {
		if i == 0 {
			continue
		}
		s += fmt.Sprintf("; from record %d on as log %s", g.First, g.LogID)
		if g.Lost > 0 {
			s += fmt.Sprintf(", which admits that records %d to %d of the one before were lost", g.First, g.First-1+g.Lost)
		}
	}
	return s
}

// Limits on what a report holds.
const (
	maxFindings = 100 // in all
	maxPerCode  = 20  // of one kind, so that a flood does not hide the rest
)

// add records a finding, or counts it and returns false.
func (r *Report) add(f Finding) bool {
	same := 0
	for i := range r.Findings {
		if r.Findings[i].Code == f.Code {
			same++
		}
	}
	if len(r.Findings) >= maxFindings || same >= maxPerCode {
		r.Suppressed++
		return false
	}
	r.Findings = append(r.Findings, f)
	return true
}

// firstIn returns the first record from first to last that a finding already
// names, or first.
func (r *Report) firstIn(first, last uint64) uint64 {
	at := uint64(0)
	for i := range r.Findings {
		p := r.Findings[i].Position
		if p >= first && p <= last && (at == 0 || p < at) {
			at = p
		}
	}
	if at == 0 {
		return first
	}
	return at
}

// firstBad returns the first record that is to blame. A ciphertext is only lost
// for want of an erasure, which a damaged record may have been: so while there
// is damage, losses do not come first.
func (r *Report) firstBad() uint64 {
	var record, lost uint64
	for i := range r.Findings {
		f := &r.Findings[i]
		to := &record
		if f.Code == CiphertextLost || f.Code == KeyLost || f.Code == TagsIndex {
			to = &lost
		}
		if f.Position != 0 && (*to == 0 || f.Position < *to) {
			*to = f.Position
		}
	}
	if record != 0 {
		return record
	}
	return lost
}

// evidence pairs names with values.
func evidence(pairs ...string) []Evidence {
	var list []Evidence
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			list = append(list, Evidence{pairs[i], pairs[i+1]})
		}
	}
	return list
}
