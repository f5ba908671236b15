package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Event is an event to be recorded.
type Event struct {
	ID           string // a UUID; the same event has the same id, however often it is sent
	Type         string
	Entity       string // a UUID
	Organization string // for the first event of an entity
	Data         any    // becomes JSON

	Expected *uint64    // the version at which the entity must be; nil: any
	Occurred *time.Time // when it happened, by the publisher's clock; may be nil
	Context  *Context   // may be nil
}

// Context is what is known around an event.
type Context struct {
	Reason       string `json:"reason,omitempty"`
	Device       string `json:"device,omitempty"`
	Network      string `json:"network,omitempty"`
	ClaimedActor string `json:"claimedActor,omitempty"`
}

// MarshalJSON writes the event as the API takes it. Data goes as a text, in
// which numbers are exact.
func (e Event) MarshalJSON() ([]byte, error) {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		ID           string     `json:"id,omitempty"`
		Type         string     `json:"type"`
		Entity       string     `json:"entityId"`
		Organization string     `json:"organizationId,omitempty"`
		Data         string     `json:"dataJson"`
		Expected     *uint64    `json:"expectedVersion,omitempty"`
		Occurred     *time.Time `json:"occurred,omitempty"`
		Context      *Context   `json:"context,omitempty"`
	}{e.ID, e.Type, e.Entity, e.Organization, string(data), e.Expected, e.Occurred, e.Context})
}

// Published is what became of an event.
type Published struct {
	Position uint64 `json:"position,string"`
	Version  uint64 `json:"version,string"`
	Repeated bool   `json:"repeated"` // it was recorded before
	Receipt  []byte `json:"receipt"`
}

// Publish records events, all of them or none.
func (c *Client) Publish(ctx context.Context, events ...Event) ([]Published, error) {
	return c.publish(ctx, map[string]any{"events": events})
}

// PublishProven is Publish with a receipt for each event.
func (c *Client) PublishProven(ctx context.Context, events ...Event) ([]Published, error) {
	return c.publish(ctx, map[string]any{"events": events, "withReceipts": true})
}

func (c *Client) publish(ctx context.Context, in map[string]any) ([]Published, error) {
	var out struct {
		Events []Published `json:"events"`
	}
	err := c.Post(ctx, "/v1/events", in, &out)
	return out.Events, err
}

// Recorded is an event as it stands in the log.
type Recorded struct {
	Position uint64    `json:"position,string"`
	ID       string    `json:"eventId"`
	Stream   string    `json:"stream"` // type:id of the entity
	Type     string    `json:"type"`
	Time     time.Time `json:"time"`
	Sentence string    `json:"sentence"`
	Fields   []struct {
		Path  string `json:"path"`
		After Value  `json:"after"`
	} `json:"fields"`
}

// Value is a field of an event.
type Value struct {
	Value    json.RawMessage `json:"value"`
	Erased   bool            `json:"erased"`
	Withheld bool            `json:"withheld"` // it is sealed, and not for this caller
}

// Field is a field of the event, by its name.
func (r Recorded) Field(name string) Value {
	for _, f := range r.Fields {
		if f.Path == "/"+name {
			return f.After
		}
	}
	return Value{}
}

// Text is a field that is a text.
func (r Recorded) Text(name string) string {
	var s string
	_ = json.Unmarshal(r.Field(name).Value, &s) // of what is no text, none
	return s
}

// Events reads all events that a filter selects, oldest first.
func (c *Client) Events(ctx context.Context, filter url.Values) ([]Recorded, error) {
	q := url.Values{"withFields": {"true"}, "pageSize": {"500"}}
	for name, values := range filter {
		q["filter."+name] = values
	}
	var all []Recorded
	for {
		var page struct {
			Events []Recorded `json:"events"`
			Next   string     `json:"nextPageToken"`
		}
		if err := c.Get(ctx, "/v1/events?"+q.Encode(), &page); err != nil {
			return nil, err
		}
		if all = append(all, page.Events...); page.Next == "" {
			return all, nil
		}
		q.Set("pageToken", page.Next)
	}
}

// Entity is an entity, now or as it was.
type Entity struct {
	ID       string   `json:"entityId"`
	Version  uint64   `json:"version,string"`
	Position uint64   `json:"position,string"` // of its last event
	Data     string   `json:"dataJson"`        // its fields
	Locked   []string `json:"locked"`          // fields that are not for this caller
	Erased   []string `json:"erased"`
}

// Entity reads an entity as it was right after a position; 0 is now. Its fields
// go into data, if that is not nil.
func (c *Client) Entity(ctx context.Context, kind, id string, at uint64, data any) (Entity, error) {
	var out struct {
		Entity Entity `json:"entity"`
	}
	path := fmt.Sprintf("/v1/entities/%s/%s", kind, id)
	if at > 0 {
		path += fmt.Sprintf("?read.atPosition=%d", at)
	}
	err := c.Get(ctx, path, &out)
	if err == nil && data != nil {
		err = json.Unmarshal([]byte(out.Entity.Data), data)
	}
	return out.Entity, err
}

// NewID makes a UUID (RFC 9562 §5.4).
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails, since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// UUID writes an id with dashes, as entities have it; among events it stands
// without them.
func UUID(id string) string {
	if len(id) != 32 {
		return id
	}
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

// Entity is the id of the entity that the event is about.
func (r Recorded) Entity() string {
	_, id, _ := strings.Cut(r.Stream, ":")
	return UUID(id)
}

// Receipt is a file with which anybody can check an event offline. A checkpoint
// covers the event a moment after it was recorded; until then it waits.
func (c *Client) Receipt(ctx context.Context, position uint64) ([]byte, error) {
	var out struct {
		Receipt []byte `json:"receipt"`
	}
	for {
		err := c.Get(ctx, fmt.Sprintf("/v1/events/%d/receipt", position), &out)
		if !Is(err, "unavailable") {
			return out.Receipt, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
