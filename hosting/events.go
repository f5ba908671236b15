// Package hosting holds what the home instance of a server knows of the other
// instances in the same process: that they exist, under which names they are
// reached, whether they are served. Nothing of what is in them: each has a log,
// keys, people and administrators of its own, and who hosts it has no rights
// there.
//
// The server follows these events and carries them out; package fleet does so.
package hosting

import "muniment.dev/event"

// Hosted says that there shall be another instance, with this log and reached
// under this host name. It is made after this record, not before; see Made.
type Hosted struct {
	Instance event.ID `event:"instance,public"`
	Log      event.ID `event:"log,public"`
	Name     string   `event:"name,public"`
	Host     string   `event:"host,public"`
}

// Made says that the stores of a hosted instance exist, and by which key its
// checkpoints are verified. From now on stores that are missing are a loss and
// are not made again.
type Made struct {
	Instance      event.ID `event:"instance,public"`
	CheckpointKey string   `event:"checkpoint_key,public"` // note verifier key (C2SP signed-note)
}

// HostAdded says that an instance is reached under a further host name. Its
// issuer stays the first one.
type HostAdded struct {
	Instance event.ID `event:"instance,public"`
	Host     string   `event:"host,public"`
}

// HostRemoved says that an instance is not reached under a host name any more.
type HostRemoved struct {
	Instance event.ID `event:"instance,public"`
	Host     string   `event:"host,public"`
}

// Suspended says that an instance is not served and that nothing happens in it
// until it is resumed. Nothing is deleted.
type Suspended struct {
	Instance event.ID `event:"instance,public"`
}

// Resumed ends a suspension.
type Resumed struct {
	Instance event.ID `event:"instance,public"`
}

// OwnerLinkRequested says that somebody asked for a new set-up link for the
// first owner of an instance. That it was made is recorded in that instance.
type OwnerLinkRequested struct {
	Instance event.ID `event:"instance,public"`
}

// Exported says that somebody began to read a copy of an instance's log, as it
// was at that size. Not that they got all of it.
type Exported struct {
	Instance event.ID `event:"instance,public"`
	Size     int64    `event:"size,public"`
	Root     []byte   `event:"root,public"`
}

// Deleted says that an instance shall be destroyed, and how its log ended: with
// a copy of it, and this, anybody can tell whether the copy is whole.
type Deleted struct {
	Instance event.ID `event:"instance,public"`
	Log      event.ID `event:"log,public"`
	Size     int64    `event:"size,public"`
	Root     []byte   `event:"root,public"`
}

// Destroyed says that first the keys and then the stores of a deleted instance
// are gone from this server. Not that no copy of them exists elsewhere.
type Destroyed struct {
	Instance event.ID `event:"instance,public"`
}

// Events are the types that this slice owns.
func Events() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[Hosted]("instance.hosted", 1, "{actor} created the hosted instance {name}, reached at {host}"),
		event.Describe[Made]("instance.made", 1, "the stores of {instance} were made"),
		event.Describe[HostAdded]("instance.host.added", 1, "{actor} had {instance} reached at {host}, too"),
		event.Describe[HostRemoved]("instance.host.removed", 1, "{actor} had {instance} not reached at {host} any more"),
		event.Describe[Suspended]("instance.suspended", 1, "{actor} suspended {instance}"),
		event.Describe[Resumed]("instance.resumed", 1, "{actor} resumed {instance}"),
		event.Describe[OwnerLinkRequested]("instance.owner-link.requested", 1, "{actor} asked for a set-up link for the first owner of {instance}"),
		event.Describe[Exported]("instance.exported", 1, "{actor} exported {instance} as of its record {size}"),
		event.Describe[Deleted]("instance.deleted", 1, "{actor} deleted {instance}, whose log ended with record {size}"),
		event.Describe[Destroyed]("instance.destroyed", 1, "the keys and stores of {instance} were destroyed"),
	}
}

// Stream is an instance's stream in the home instance's log.
func Stream(id event.ID) event.Stream { return event.Stream{Kind: "instance", ID: id} }
