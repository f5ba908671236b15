package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"

	"muniment.dev/api/call"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	identity "muniment.dev/instance"
	"muniment.dev/ledger"
	"muniment.dev/ops"
	"muniment.dev/seal"
	"muniment.dev/seal/kms/file"
	"muniment.dev/server"
	"muniment.dev/user"
)

// instance is a real data directory, set up by the server's own code, and
// opened as the server opens it but without views: log, keys, signed
// checkpoints and the runner of commands.
type instance struct {
	layout ops.Layout
	engine engine
	store  eventlog.Store
	log    *eventlog.Log
	keys   *seal.Keys
	sealer *seal.Sealer
	runner *decide.Runner

	verifier            string // the log's public key
	owner, organization event.ID

	// options are those of the log, once its id is known; nil for the usual ones.
	options func(event.LogID) eventlog.Options

	publish func() error // ends the publishing of checkpoints
	closers []func() error
}

// create makes an instance with an owner and an organization in dir.
func create(ctx context.Context, e engine, dir string) (owner event.ID, err error) {
	core, err := openCore(ctx, e, dir)
	if err != nil {
		return owner, err
	}
	_, owner, err = core.SetUp(ctx, server.Owner{Email: "owner@bench.example", Names: user.Names{Given: "Olive"}})
	return owner, errors.Join(err, core.Close())
}

// openCore opens an instance with all that a server runs below its network.
func openCore(ctx context.Context, e engine, dir string) (*server.Core, error) {
	store, err := e.open(ctx, ops.DefaultLayout(dir).Log)
	if err != nil {
		return nil, err
	}
	return server.Open(ctx, server.Options{Data: dir, Store: store})
}

// open opens an instance that create made. Close it.
func (in *instance) open(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, in.close())
		}
	}()
	if in.store, err = in.engine.open(ctx, in.layout.Log); err != nil {
		return err
	}
	in.closers = append(in.closers, in.store.Close)
	root, err := file.Open(in.layout.Root)
	if err != nil {
		return err
	}
	if in.keys, err = seal.OpenKeys(ctx, in.layout.Keys, root); err != nil {
		return err
	}
	in.closers = append(in.closers, in.keys.Close)
	return in.openLog(ctx)
}

func (in *instance) openLog(ctx context.Context) error {
	logs, err := in.store.Logs(ctx)
	if err != nil || len(logs) != 1 {
		return fault.New(fault.Internal, "a fresh data directory holds %d logs (%v)", len(logs), err)
	}
	register := ledger.NewFileRegister(in.layout.Register)
	o := eventlog.Options{Lease: in.engine.lease()}
	if in.options != nil {
		o = in.options(logs[0])
	}
	if in.log, err = ledger.OpenLog(ctx, in.store, logs[0], register, o); err != nil {
		return err
	}
	in.sealer = &seal.Sealer{Log: logs[0], Assigned: in.log, Keys: in.keys, Registry: server.Registry()}
	in.runner = &decide.Runner{Log: in.log, Sealer: in.sealer}
	var signer *ledger.Signer
	if signer, err = in.identify(ctx); err == nil {
		var p *ledger.Publisher
		if p, err = ledger.StartPublisher(ctx, in.log, signer, register, ledger.PublisherOptions{}); err == nil {
			in.publish = sync.OnceValue(p.Close)
			in.closers = append(in.closers, in.publish)
		}
	}
	in.closers = append(in.closers, in.log.Close)
	return err
}

// identify reads whose log it is from its first records.
func (in *instance) identify(ctx context.Context) (*ledger.Signer, error) {
	first, err := in.log.Record(ctx, 1)
	if err != nil {
		return nil, err
	}
	in.sealer.Instance = event.SubjectID{ID: first.Stream.ID}
	state, err := decide.Read(ctx, in.runner, "instance", identity.Facts(first.Stream.ID), identity.State{}, identity.Evolve)
	if err != nil {
		return nil, err
	}
	in.verifier = state.CheckpointKey
	for r, err := range in.log.Read(ctx, event.Query{{Types: []string{"organization.added"}}}, 0) {
		if err != nil {
			return nil, err
		}
		in.organization = r.Stream.ID
	}
	return ledger.NewSigner(state.CheckpointSigner.Value)
}

// close closes everything that is open. It may be called again.
func (in *instance) close() error {
	var errs []error
	for i := len(in.closers) - 1; i >= 0; i-- {
		errs = append(errs, in.closers[i]())
	}
	in.closers = nil
	return errors.Join(errs...)
}

// registration is one person to be registered, with the call that asks for it.
type registration struct {
	envelope decide.Envelope
	command  user.Register
}

// registration makes the command and its surroundings as the API makes them of
// an administrator's request.
func (in *instance) registration() registration {
	id, facts := event.NewID(), call.Facts{RequestID: event.NewID(), CommandID: event.NewID(), Method: "muniment.v1.UserService.CreateUser",
		Source: "api", UserAgent: "muniment-bench/1.0 (linux)", IP: netip.AddrFrom4([4]byte{192, 0, 2, 7})}
	name := id.String()[:16]
	caller := call.Caller{Kind: "user", ID: in.owner, SessionID: in.organization}
	c := user.Register{User: id, Organization: in.organization, Email: "person-" + name + "@bench.example",
		Names: user.Names{Given: "Given" + name, Family: "Family" + name}}
	return registration{command: c, envelope: decide.Envelope{Actor: caller.Actor(), Command: facts.CommandID,
		Request: fmt.Appendf(nil, "%s\n%s %s %s %s", facts.Method, c.Organization, c.Email, c.Names.Given, c.Names.Family),
		Context: call.Context(facts, caller)}}
}

// event is what the command decides, for those who append without deciding.
func (r registration) event() event.New {
	c := r.command
	return event.New{Stream: user.Stream(c.User), Payload: user.Registered{User: c.User, Organization: c.Organization, Email: event.Seal(c.Email),
		GivenName: event.Seal(c.Names.Given), FamilyName: event.Seal(c.Names.Family), DisplayName: event.Seal(c.Names.Given + " " + c.Names.Family)}}
}

// seal makes the drafts of a registration.
func (in *instance) seal(ctx context.Context, r registration) ([]*event.Draft, error) {
	return in.sealer.Seal(ctx, r.envelope.Actor, []event.New{r.event()}, r.envelope.Context)
}

// preload registers people in large appends, so that lookups have something to
// miss and the store is not an empty one.
func (in *instance) preload(ctx context.Context, people int) error {
	const together, clients = 256, 4
	var wg sync.WaitGroup
	errs := make([]error, clients)
	for i := range clients {
		share := people / clients
		if i == 0 {
			share += people % clients
		}
		wg.Go(func() {
			for ; share > 0 && errs[i] == nil; share -= together {
				errs[i] = in.registerMany(ctx, min(share, together))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (in *instance) registerMany(ctx context.Context, n int) error {
	var drafts []*event.Draft
	r := in.registration()
	for range n {
		d, err := in.seal(ctx, in.registration())
		if err != nil {
			return err
		}
		drafts = append(drafts, d...)
	}
	_, err := in.log.Append(ctx, eventlog.Request{Actor: r.envelope.Actor, Command: r.envelope.Command, Events: drafts})
	return err
}

// prepare makes a data directory with some people in it, and opens it.
func (b *bench) prepare(ctx context.Context, name string, people int) (*instance, error) {
	return b.prepareOn(ctx, name, people, &instance{})
}

// prepareOn is prepare for an instance of which engine and options are chosen.
func (b *bench) prepareOn(ctx context.Context, name string, people int, in *instance) (_ *instance, err error) {
	b.say("%s: an instance with %d people", name, people)
	dir := filepath.Join(b.dir, name)
	in.layout = ops.DefaultLayout(dir)
	if in.owner, err = create(ctx, in.engine, dir); err != nil {
		return nil, fault.Wrap("set an instance up", err)
	}
	if err := in.open(ctx); err != nil {
		return nil, fault.Wrap("open the instance", err)
	}
	if err := in.preload(ctx, people); err != nil {
		return nil, errors.Join(fault.Wrap("register people", err), in.close())
	}
	return in, nil
}
