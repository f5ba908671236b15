package auditapi

import (
	"encoding/json"
	"fmt"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
)

// typePrefix makes a type unique among those of all producers (CloudEvents 1.0
// §3.1, "type": SHOULD be prefixed with a reverse-DNS name).
const typePrefix = "dev.muniment."

// cloudEvent is the structured form of an event (CloudEvents 1.0, JSON format
// §3). Names of extensions are lower-case letters and digits (§3.1).
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            string          `json:"time,omitempty"`
	DataContentType string          `json:"datacontenttype"`
	DataSchema      string          `json:"dataschema,omitempty"`
	Sequence        string          `json:"sequence"` // the position; sorts as text (Sequence extension)
	LogID           string          `json:"logid"`
	Revision        uint32          `json:"revision,omitempty"`
	Actor           string          `json:"actor,omitempty"`
	Organization    string          `json:"organization,omitempty"`
	Leaf            []byte          `json:"leaf,omitempty"` // base64, as the JSON format writes Binary (§2.2)
	Receipt         []byte          `json:"receipt,omitempty"`
	Data            json.RawMessage `json:"data"`
}

// sequence is a position as text that sorts as positions do.
func sequence(p uint64) string { return fmt.Sprintf("%020d", p) }

// cloudEvent writes an event for a file.
func (s *Service) cloudEvent(m *munimentv1.Event) ([]byte, error) { return s.CloudEvent(m, nil) }

// CloudEvent writes an event, with its receipt if there is one. Its data is the
// event as the API writes it, without the leaf, which is an attribute.
func (s *Service) CloudEvent(m *munimentv1.Event, receipt []byte) ([]byte, error) {
	leaf := m.GetLeaf()
	m.Leaf = nil
	data, err := compact(m)
	if err != nil {
		return nil, err
	}
	return json.Marshal(cloudEvent{
		SpecVersion: "1.0", ID: m.GetEventId(), Source: s.source(), Type: typePrefix + m.GetType(), Subject: m.GetStream(),
		Time: m.GetTime().AsTime().Format(time.RFC3339Nano), DataContentType: "application/json", DataSchema: s.source() + "/v1/event-types",
		Sequence: sequence(m.GetPosition()), LogID: m.GetLogId(), Revision: m.GetRevision(),
		Actor: m.GetActor().GetKind() + ":" + m.GetActor().GetId(), Organization: m.GetOrganizationId(), Leaf: leaf, Receipt: receipt, Data: data,
	})
}

// cloudTrailer is the last event of an export.
func (s *Service) cloudTrailer(count uint64, at event.Position) ([]byte, error) {
	data, err := jsonTrailer(count, at)
	if err != nil {
		return nil, err
	}
	log := s.Runner.Log.GenerationAt(at).String()
	return json.Marshal(cloudEvent{SpecVersion: "1.0", ID: "export-" + log + "-" + sequence(uint64(at)), Source: s.source(), Type: typePrefix + "export.completed",
		DataContentType: "application/json", Sequence: sequence(uint64(at)), LogID: log, Data: data})
}

// source is where events come from: the address of the instance, or the id of
// its log if it has none.
func (s *Service) source() string {
	if s.URL != "" {
		return s.URL
	}
	return "/logs/" + s.Runner.Log.ID().String()
}
