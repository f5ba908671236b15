package customapi

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom"
	"muniment.dev/custom/cloudevents"
	"muniment.dev/custom/publish"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// CloudEventsPath is where CloudEvents are posted to, and PublishMethod what
// that means.
const (
	CloudEventsPath = "/v1/cloudevents"
	PublishMethod   = "muniment.v1.EntityService.PublishEvents"
)

// ReadCloudEvents reads a request that publishes CloudEvents, in any of their
// three modes, as the request of PublishEvents that it means.
func (s EntityService) ReadCloudEvents(ctx context.Context, header map[string][]string, body []byte) (proto.Message, error) {
	events, err := cloudevents.Read(header, body, publish.MaxEvents)
	if err != nil {
		return nil, err
	}
	defs, err := s.Catalog.Current(ctx)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.PublishEventsRequest{Events: make([]*munimentv1.NewEvent, len(events))}
	for i := range events {
		c := cloud{s: s.Service, defs: defs, Event: &events[i], out: &munimentv1.NewEvent{Context: &munimentv1.EventContext{}}}
		if err := c.read(ctx); err != nil {
			return nil, inEvent(i, err)
		}
		out.Events[i] = c.out
	}
	return out, nil
}

// cloud is a CloudEvent on its way to becoming an event of ours.
type cloud struct {
	*cloudevents.Event
	s    *Service
	defs *custom.Definitions
	out  *munimentv1.NewEvent
}

func (c *cloud) read(ctx context.Context) error {
	c.out.Type = c.Type
	c.out.Context.Origin = c.Source
	if c.out.DataJson = c.Data; c.Data == "" {
		c.out.DataJson = "{}"
	}
	if !c.Time.IsZero() {
		c.out.Occurred = timestamppb.New(c.Time)
	}
	if err := c.place(); err != nil {
		return err
	}
	if err := c.identify(ctx); err != nil {
		return err
	}
	if err := c.revise(); err != nil {
		return err
	}
	for name, value := range c.Extensions {
		if err := c.extend(name, value); err != nil {
			return err
		}
	}
	return nil
}

// identify gives the event its id. A CloudEvent is the same as another if source
// and id are (section 3.1.1 of the specification). A UUID is one wherever it
// comes from; of any other id one is made, keyed, because source and id may be
// about people, and the ids of events stand in clear; and of its entity, so that
// nobody takes the ids of others who call themselves the same.
func (c *cloud) identify(ctx context.Context) error {
	if id, err := event.ParseID(strings.ToLower(c.ID)); err == nil && !id.IsZero() {
		c.out.Id = schema.UUIDOf(id)
		return nil
	}
	c.out.Context.OriginId = c.ID
	digest, err := c.s.core.Runner.Sealer.RequestDigest(ctx, []byte("id of a CloudEvent\x00"+strings.ToLower(strings.ReplaceAll(c.out.EntityId, "-", ""))+c.Identity()))
	if err != nil {
		return err
	}
	c.out.Id = schema.UUIDOf(event.ID(digest[:len(event.ID{})]))
	return nil
}

// place finds the entity: the subject, as type/id or the id alone; without one
// the key by which a broker keeps events in order, which the entity is here.
func (c *cloud) place() error {
	field, text := "subject", c.Subject
	if text == "" {
		field, text = "partitionkey", c.Extensions["partitionkey"]
	}
	if text == "" {
		return fault.Field("subject", "is missing; it is the entity, as household/0190…, or its UUID")
	}
	kind, id, found := strings.Cut(text, "/")
	if !found {
		c.out.EntityId = text
		return nil
	}
	if t := c.defs.Set.Events[c.Type]; t != nil && t.Latest().Entity != kind {
		return fault.Field(field, "%s is an event of %s", c.Type, t.Latest().Entity)
	}
	c.out.EntityId = id
	return nil
}

// revise takes the revision from the fragment of the schema's address.
func (c *cloud) revise() error {
	_, fragment, found := strings.Cut(c.DataSchema, "#")
	if !found {
		return nil
	}
	n, err := strconv.ParseUint(fragment, 10, 32)
	if err != nil || n == 0 {
		return fault.Field("dataschema", "its fragment is the revision of the type, from 1: …#2; leave it out for the newest")
	}
	c.out.Revision = uint32(n)
	return nil
}

// ours begins the names of the extensions that say what CloudEvents have no
// attribute for.
const ours = "muniment"

// traceparent finds the trace id (W3C Trace Context §3.2).
var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}`)

// extend takes an extension attribute. Those of strangers are not kept: brokers
// add what they like. One of ours that is not known is a slip of the pen.
func (c *cloud) extend(name, value string) error {
	around := c.out.Context
	switch name {
	case "traceparent":
		if m := traceparent.FindStringSubmatch(value); m != nil {
			around.Trace = m[1]
		}
	case "correlationid":
		around.Correlation = value
	case "causationid":
		around.Causation = value
	case ours + "organization":
		c.out.OrganizationId = value
	case ours + "expected":
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return fault.Field(name, "must be a version of the entity, from 0")
		}
		c.out.ExpectedVersion = &n
	case ours + "reason":
		around.Reason = value
	case ours + "source":
		around.Source = value
	case ours + "session":
		around.Session = value
	case ours + "device":
		around.Device = value
	case ours + "location":
		around.Location = value
	case ours + "appversion":
		around.AppVersion = value
	case ours + "network":
		around.Network = value
	case ours + "actor":
		around.ClaimedActor = value
	default:
		if strings.HasPrefix(name, ours) {
			return fault.Field(name, "there is no such extension; docs/how-to/cloudevents.md lists them")
		}
	}
	return nil
}

// cloudNames are the attributes that fields of NewEvent come from.
var cloudNames = strings.NewReplacer("].entity_id", "].subject", "].occurred", "].time", "].revision", "].dataschema",
	"].organization_id", "]."+ours+"organization", "].expected_version", "]."+ours+"expected", "].context", "].extensions")

// CloudEventsField is the name of a field of PublishEvents in CloudEvents.
func CloudEventsField(name string) string {
	event, data, found := strings.Cut(name, ".data")
	if !found {
		return cloudNames.Replace(name)
	}
	return event + ".data" + strings.TrimPrefix(data, "_json") // names in it are the publisher's
}
