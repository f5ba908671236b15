package instancetest

import (
	"context"
	"io"
	"sync"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/hosting"
	"muniment.dev/hosting/hostingapi"
	"muniment.dev/ledger"
)

// fleet takes it for granted that what is recorded of hosted instances is
// carried out, and makes none: package fleet is tested with whole ones.
type fleet struct {
	runner *decide.Runner

	mu   sync.Mutex
	made map[event.ID]bool // that have an owner
}

// Site implements hostingapi.Fleet.
func (f *fleet) Site() hosting.Site { return hosting.Site{Home: "id.example.org"} }

// URL implements hostingapi.Fleet.
func (f *fleet) URL(host string) string { return "https://" + host }

// Settled implements hostingapi.Fleet.
func (f *fleet) Settled(ctx context.Context, id event.ID, _ event.Position) error {
	_, err := decide.Run(ctx, f.runner, hosting.Completing, decide.Envelope{Actor: event.System}, hosting.Complete{Instance: id, CheckpointKey: "key"})
	return err
}

// SetUp implements hostingapi.Fleet.
func (f *fleet) SetUp(_ context.Context, id event.ID, _ hostingapi.Owner) (hostingapi.Link, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.made[id] {
		return hostingapi.Link{}, fault.New(fault.Exists, "set up already")
	}
	f.made[id] = true
	return hostingapi.Link{URL: "https://" + id.String(), Expires: time.Now()}, nil
}

// RenewLink implements hostingapi.Fleet.
func (f *fleet) RenewLink(_ context.Context, id event.ID) (hostingapi.Link, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.made[id] {
		return hostingapi.Link{}, fault.New(fault.NotFound, "not set up")
	}
	return hostingapi.Link{URL: "https://" + id.String(), Expires: time.Now()}, nil
}

// End implements hostingapi.Fleet.
func (f *fleet) End(context.Context, event.ID) (ledger.State, error) {
	return ledger.State{Tree: ledger.Tree{Size: 7}}, nil
}

// Export implements hostingapi.Fleet.
func (f *fleet) Export(context.Context, event.ID) (hostingapi.Export, error) { return export{}, nil }

// export is a snapshot of nothing.
type export struct{}

func (export) Tree() ledger.Tree { return ledger.Tree{Size: 7} }
func (export) Close()            {}
func (export) Write(_ context.Context, w io.Writer, moved func(done, of int64)) error {
	moved(0, 4)
	_, err := io.WriteString(w, "file")
	moved(4, 4)
	return err
}

// Trouble implements hostingapi.Fleet.
func (f *fleet) Trouble(event.ID) string { return "" }

// NewHosted is a request to host an instance that there is not yet.
func (i *Instance) NewHosted() *munimentv1.CreateHostedInstanceRequest {
	name := i.Name("hosted")
	return &munimentv1.CreateHostedInstanceRequest{Name: name, Host: name + ".example.com", OwnerEmail: "owner@example.com"}
}

// Hosted makes a hosted instance and answers its id and its name.
func (i *Instance) Hosted() (id, name string) {
	req := i.NewHosted()
	return Must(i.API.Hosted.CreateHostedInstance(i.AsOwner(), req)).GetInstanceId(), req.GetName()
}

// Suspended makes a hosted instance that is suspended.
func (i *Instance) Suspended() (id, name string) {
	id, name = i.Hosted()
	Must(i.API.Hosted.SuspendHostedInstance(i.AsOwner(), &munimentv1.SuspendHostedInstanceRequest{InstanceId: id}))
	return id, name
}
