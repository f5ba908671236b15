package exchange

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Verdict is what became of an event that was not taken.
type Verdict string

// The verdicts.
const (
	Refused Verdict = "refused" // it will not be taken as it is
	Retry   Verdict = "retry"   // it may be taken later
)

// Verdicts are those of events that were not taken, by id.
type Verdicts map[string]Verdict

// verdicts reads the answer to events. An empty one, and one without results,
// says that all were taken.
func verdicts(body []byte) (Verdicts, error) {
	if len(body) == 0 {
		return nil, nil
	}
	var answer struct {
		Results []struct{ ID, Status string }
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil, &Failure{Reason: Malformed}
	}
	out := Verdicts{}
	for _, r := range answer.Results {
		id := strings.ToLower(r.ID)
		switch v := Verdict(r.Status); v {
		case Refused:
			out[id] = v
		case Retry:
			if out[id] == "" {
				out[id] = v
			}
		case "accepted", "repeated":
		default: // neither a success nor a failure that can be understood
			return nil, &Failure{Reason: Malformed}
		}
	}
	return out, nil
}

// Page is what an external system offers.
type Page struct {
	Events []json.RawMessage // CloudEvents
	Next   string            // the cursor behind them
}

// Bounds of a page.
const (
	MostEvents = 1000
	MostCursor = 2000 // bytes
)

// page reads a page. Without next, it is the last, and the cursor stays.
func page(body []byte) (Page, error) {
	var answer struct {
		Events []json.RawMessage
		Next   string
	}
	malformed := &Failure{Reason: Malformed}
	switch {
	case len(body) == 0, body[0] != '{', json.Unmarshal(body, &answer) != nil:
		return Page{}, malformed
	case len(answer.Events) > MostEvents, len(answer.Next) > MostCursor, !utf8.ValidString(answer.Next):
		return Page{}, malformed
	case strings.ContainsFunc(answer.Next, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return Page{}, malformed
	}
	return Page{answer.Events, answer.Next}, nil
}
