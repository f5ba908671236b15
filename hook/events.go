// Package hook holds subscriptions: who is to learn of which events, how, and
// from where on; whether that is paused or stopped; and what was said of events
// that could not be delivered. Which events were delivered is not here: that is
// the state of a delivery and stands in no record (docs/adr/0021-subscriptions.md).
package hook

import "muniment.dev/event"

// Created says that events which match are to be delivered from now on, with
// the rights of whoever made it. It does not say that any was.
type Created struct {
	Subscription event.ID             `event:"subscription,public,subject"`
	Organization event.ID             `event:"organization,public,tag=org"` // zero: of the whole instance
	Owner        event.ID             `event:"owner,public,tag=user"`       // with whose rights events are read
	Name         string               `event:"name,public"`
	Delivery     string               `event:"delivery,public"`
	URL          event.Sealed[string] `event:"url"` // its path may be a secret
	Types        []string             `event:"types,public"`
	Streams      []string             `event:"streams,public"`
	Actors       []string             `event:"actors,public"`
	Tags         []string             `event:"tags,public"`
	Within       []event.ID           `event:"within,public"` // organizations whose events are wanted
	Users        []event.ID           `event:"users,public"`
	Concurrency  int64                `event:"concurrency,public"`
	Attempts     int64                `event:"attempts,public"`
	Unsealed     bool                 `event:"unsealed,public"`
	Verify       bool                 `event:"verify,public"`
	After        int64                `event:"after,public"` // the first is the one behind this position
}

// Changed says how a subscription is from now on; whoever changed it is its
// owner. What was handed out already is not called back.
type Changed struct {
	Subscription event.ID             `event:"subscription,public,subject"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Owner        event.ID             `event:"owner,public,tag=user"`
	Name         string               `event:"name,public"`
	URL          event.Sealed[string] `event:"url"`
	Types        []string             `event:"types,public"`
	Streams      []string             `event:"streams,public"`
	Actors       []string             `event:"actors,public"`
	Tags         []string             `event:"tags,public"`
	Within       []event.ID           `event:"within,public"`
	Users        []event.ID           `event:"users,public"`
	Concurrency  int64                `event:"concurrency,public"`
	Attempts     int64                `event:"attempts,public"`
	Unsealed     bool                 `event:"unsealed,public"`
	Verify       bool                 `event:"verify,public"`
}

// SecretAdded says that deliveries are signed with one more secret. Those before
// it sign, too, until they are removed.
type SecretAdded struct {
	Subscription event.ID             `event:"subscription,public,subject"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Secret       event.ID             `event:"secret,public"`
	Key          event.Sealed[[]byte] `event:"key,secret"` // of the HMAC; Standard Webhooks, "symmetric"
}

// SecretRemoved says that deliveries are not signed with a secret any more.
type SecretRemoved struct {
	Subscription event.ID `event:"subscription,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	Secret       event.ID `event:"secret,public"`
}

// Paused says that nothing is delivered until the subscription is resumed. What
// happens meanwhile is delivered then.
type Paused struct {
	Subscription event.ID `event:"subscription,public"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Stopped says that Muniment itself delivers nothing any more, and why, until
// somebody resumes the subscription.
type Stopped struct {
	Subscription event.ID `event:"subscription,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	Reason       string   `event:"reason,public"`
}

// Resumed ends a pause or a stop; whoever resumed it is its owner.
type Resumed struct {
	Subscription event.ID `event:"subscription,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	Owner        event.ID `event:"owner,public,tag=user"`
}

// Rewound says that delivery goes on behind another position: what was delivered
// behind it is delivered again, or, if it lies ahead, what lies between is not.
type Rewound struct {
	Subscription event.ID `event:"subscription,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	After        int64    `event:"after,public"`
}

// Removed says that a subscription is no more. Its secrets stay sealed in the
// log.
type Removed struct {
	Subscription event.ID `event:"subscription,public"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Redriven says that an event which could not be delivered is to be tried anew.
// Not that it was delivered then.
type Redriven struct {
	Subscription event.ID `event:"subscription,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	Position     int64    `event:"position,public"`
}

// Discarded says that an event which could not be delivered is given up: what
// waits behind it in its stream is delivered without it.
type Discarded struct {
	Subscription event.ID `event:"subscription,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	Position     int64    `event:"position,public"`
}

// Events are the types that this slice owns.
func Events() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[Created]("subscription.created", 1, "{actor} subscribed {name} to events"),
		event.Describe[Changed]("subscription.changed", 1, "{actor} changed the subscription {name}"),
		event.Describe[SecretAdded]("subscription.secret.added", 1, "{actor} created another signing secret of {subscription}"),
		event.Describe[SecretRemoved]("subscription.secret.removed", 1, "{actor} removed a signing secret of {subscription}"),
		event.Describe[Paused]("subscription.paused", 1, "{actor} paused {subscription}"),
		event.Describe[Stopped]("subscription.stopped", 1, "{subscription} was stopped: {reason}"),
		event.Describe[Resumed]("subscription.resumed", 1, "{actor} resumed {subscription}"),
		event.Describe[Rewound]("subscription.rewound", 1, "{actor} had {subscription} go on behind position {after}"),
		event.Describe[Removed]("subscription.removed", 1, "{actor} removed {subscription}"),
		event.Describe[Redriven]("subscription.dead-letter.redriven", 1, "{actor} had the event at position {position} delivered to {subscription} anew"),
		event.Describe[Discarded]("subscription.dead-letter.discarded", 1, "{actor} gave up delivering the event at position {position} to {subscription}"),
	}
}

// Stream is a subscription's stream.
func Stream(id event.ID) event.Stream { return event.Stream{Kind: "subscription", ID: id} }
