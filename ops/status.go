package ops

import (
	"cmp"
	"context"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/seal"
	"muniment.dev/seal/erasure"
	"muniment.dev/view"
)

// AskStatus is the request for a running server's [Status].
const AskStatus = "status/1"

// Status is how a data directory is, with a server running on it or without.
type Status struct {
	Dir        string           `json:"dir"`
	Running    bool             `json:"running"`
	Version    string           `json:"version,omitempty"` // of the server, or of this program
	Started    time.Time        `json:"started,omitzero"`  // of the server
	URL        string           `json:"url,omitempty"`     // of the server
	Log        event.LogID      `json:"log"`
	Generation event.LogID      `json:"generation,omitzero"` // the newest, if the log has several
	Size       event.Position   `json:"size"`                // the mark: the last durable record
	Root       tlog.Hash        `json:"root"`
	Last       time.Time        `json:"last,omitzero"` // of the last record
	Term       uint64           `json:"term"`
	Checkpoint CheckpointStatus `json:"checkpoint"`
	Register   RegisterStatus   `json:"register"`
	Views      ViewsStatus      `json:"views"`
	Node       *NodeStatus      `json:"node,omitempty"` // of a server that shares its log with others
	Erasures   []ErasureStatus  `json:"erasures_pending,omitempty"`
	Keys       KeysStatus       `json:"keys"`
	Disk       []DiskUse        `json:"disk"`
	Restored   *Restoration     `json:"restored,omitempty"` // and not opened by a server since
	Problems   []string         `json:"problems,omitempty"` // what somebody should look at
}

// NodeStatus is what a server is among those that share a log.
type NodeStatus struct {
	Leads     bool          `json:"leads"`             // it appends; else it follows
	Holder    string        `json:"holder"`            // address of the one that appends; may be empty
	Left      time.Duration `json:"lease_left"`        // in nanoseconds
	Forwarded uint64        `json:"forwarded"`         // appends, since the start
	Failed    uint64        `json:"failed"`            // those that the holder did not answer
	Problem   string        `json:"problem,omitempty"` // why it may not append, though nobody else does
}

// CheckpointStatus is the newest signed checkpoint.
type CheckpointStatus struct {
	Size   event.Position `json:"size"`
	Covers time.Time      `json:"covers,omitzero"` // time of the last record that it covers
	Behind event.Position `json:"behind"`          // records that it does not cover
	Error  string         `json:"error,omitempty"` // why none is being signed
}

// RegisterStatus is what the register says, and whether the log continues it.
type RegisterStatus struct {
	Size    event.Position `json:"size"`
	Term    uint64         `json:"term"`
	Says    string         `json:"says"`
	Agrees  bool           `json:"agrees"`
	Problem string         `json:"problem,omitempty"`
}

// ViewsStatus is how far the views are.
type ViewsStatus struct {
	Applied    event.Position `json:"applied"`
	Behind     event.Position `json:"behind"`
	Lag        time.Duration  `json:"lag"` // in nanoseconds; of a running server
	Names      []string       `json:"names"`
	Missing    []string       `json:"missing,omitempty"` // not built as this version declares them
	Rebuilding *view.Progress `json:"rebuilding,omitempty"`
	Error      string         `json:"error,omitempty"`
}

// ErasureStatus is an erasure that is not complete.
type ErasureStatus struct {
	Subject  event.SubjectID `json:"subject"`
	Position event.Position  `json:"position"`
	Since    time.Time       `json:"since"`
	Step     string          `json:"step"`
	Error    string          `json:"error,omitempty"`
}

// KeysStatus is what the key database holds.
type KeysStatus struct {
	Held      int    `json:"held"`
	Destroyed int    `json:"destroyed"`
	Error     string `json:"error,omitempty"`
}

// DiskUse is the size of one part of a data directory.
type DiskUse struct {
	Name  string `json:"name"`
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

// StatusOf is the status of a data directory: asked of the server that runs on
// it, or else read from it.
func StatusOf(ctx context.Context, l Layout, p Program) (*Status, error) {
	if exists(l.Socket) {
		var s Status
		err := Ask(ctx, l, AskStatus, nil, &s)
		if err == nil || !fault.Is(err, fault.NotFound) {
			s.judge()
			return &s, err
		}
	}
	stopped, err := OpenStopped(ctx, l, p, false)
	if err != nil {
		return nil, err
	}
	defer stopped.Close()
	s, err := stopped.status(ctx)
	if err == nil {
		s.judge()
	}
	return s, err
}

// status reads the status of a stopped directory.
func (s *Stopped) status(ctx context.Context) (*Status, error) {
	m := s.Log.Mark()
	out := &Status{Dir: s.Layout.Dir, Version: s.program.Version, Log: s.Log.ID(), Size: m.Size, Root: tlog.Hash(m.Root), Last: m.Time, Term: m.Term,
		Register: s.register(ctx), Disk: Disk(s.Layout), Keys: CountKeys(ctx, s.Layout)}
	if g := s.Log.Generation(); g != out.Log {
		out.Generation = g
	}
	for c, err := range s.store.Checkpoints(ctx, out.Log, 0) {
		if err != nil {
			return nil, err
		}
		out.Checkpoint = CheckpointStatus{Size: c.Size, Behind: m.Size - min(c.Size, m.Size)}
	}
	if at := out.Checkpoint.Size; at > 0 && at <= m.Size {
		r, err := s.Log.Record(ctx, at)
		if err != nil {
			return nil, err
		}
		out.Checkpoint.Covers = r.Time
	}
	out.Views = s.viewsStatus(ctx)
	if r, ok := WasRestored(s.Layout); ok {
		out.Restored = &r
	}
	return out, s.pending(ctx, out)
}

// viewsStatus looks at the file of views.
func (s *Stopped) viewsStatus(ctx context.Context) ViewsStatus {
	out := ViewsStatus{Behind: s.Log.Mark().Size}
	for _, v := range s.program.Views {
		out.Names = append(out.Names, v.Name)
	}
	f, err := view.Inspect(ctx, ViewsIn(s.Layout.Views, nil), s.program.Views)
	switch {
	case fault.Is(err, fault.NotFound):
		out.Missing = out.Names
		return out
	case err == nil && f.Log != s.Log.ID():
		err = fault.New(fault.Refused, "the file of views belongs to another log; run muniment views rebuild, or delete it")
	case err == nil && f.Position > s.Log.Mark().Size:
		err = fault.New(fault.Refused, "the file of views is further than the log, which was cut short or restored; run muniment views rebuild, or delete it")
	}
	if err != nil {
		out.Error = explain(err)
		return out
	}
	out.Applied, out.Behind = f.Position, s.Log.Mark().Size-f.Position
	for _, name := range out.Names {
		if !f.Views[name] {
			out.Missing = append(out.Missing, name)
		}
	}
	return out
}

// pending lists the erasures that a stopped server has not finished.
func (s *Stopped) pending(ctx context.Context, out *Status) error {
	complete := erasure.ByEvent(s.Log, "user.erasure.completed", "user")
	for r, err := range s.Log.Read(ctx, event.OfTerm(event.TypeTerm("subject.erased"), "subject.erased"), 0) {
		if err != nil {
			return err
		}
		id := r.Stream.ID
		done, err := complete(ctx, event.SubjectID{ID: id})
		if err != nil {
			return err
		}
		if !done {
			out.Erasures = append(out.Erasures, ErasureStatus{Subject: event.SubjectID{ID: id}, Position: r.Position, Since: r.Time, Step: "waits for the server to start"})
		}
	}
	return nil
}

// CountKeys counts the keys of a data directory.
func CountKeys(ctx context.Context, l Layout) (k KeysStatus) {
	var err error
	if k.Held, k.Destroyed, err = seal.Count(ctx, l.Keys); err != nil {
		k.Error = explain(err)
	}
	return k
}

// Disk measures the parts of a data directory.
func Disk(l Layout) []DiskUse {
	var out []DiskUse
	for _, part := range []DiskUse{{"log", l.Log, 0}, {"keys", l.Keys, 0}, {"views", l.Views, 0}, {"register", l.Register, 0}, {"snapshots", l.Snapshots, 0}} {
		for _, path := range []string{part.Path, part.Path + "-wal", part.Path + "-shm", part.Path + ".new", part.Path + ".check"} {
			part.Bytes += size(path)
		}
		if part.Bytes > 0 {
			out = append(out, part)
		}
	}
	return out
}

// size is the size of a file, or of the files in a folder. What goes away
// meanwhile counts for nothing.
func size(path string) (n int64) {
	filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}

// Ledger fills in what a running server's register says. The register is read
// before the log's mark, which is then never behind it.
func (s *Status) Ledger(state ledger.State, err error) {
	s.Register = RegisterStatus{Size: state.Size, Term: state.Term, Says: saidBy(state, err), Agrees: true}
	switch {
	case err != nil:
		s.Register.Problem = explain(err)
	case state.Log != cmp.Or(s.Generation, s.Log):
		s.Register.Problem = ledger.ErrOtherLog.Msg
	case state.Size > s.Size:
		s.Register.Problem = ledger.ErrRolledBack.Msg
	case state.Term > s.Term:
		s.Register.Problem = "another server has taken the log"
	}
	s.Register.Agrees = s.Register.Problem == ""
}

// judge lists what somebody should look at.
func (s *Status) judge() {
	add := func(bad bool, text string) {
		if bad && text != "" {
			s.Problems = append(s.Problems, text)
		}
	}
	add(!s.Register.Agrees, "the register: "+s.Register.Problem)
	add(s.Checkpoint.Error != "", "no checkpoints are being signed: "+s.Checkpoint.Error)
	add(s.Node != nil && s.Node.Problem != "" && s.Node.Left <= 0, "this node may not append: "+s.Node.problem())
	add(s.Views.Error != "", "the views: "+s.Views.Error)
	add(s.Running && s.Views.Rebuilding == nil && len(s.Views.Missing) > 0, "some views do not serve: they are not built")
	add(s.Running && s.Views.Lag > 5*time.Second, "the views are behind")
	add(s.Keys.Error != "", "the keys: "+s.Keys.Error)
	for _, e := range s.Erasures {
		add(e.Error != "", "the erasure of "+e.Subject.String()+" does not go on: "+e.Error)
	}
}

// WriteText writes the status for a person.
func (s *Status) WriteText(out io.Writer) {
	w := writer{out}
	if s.Running {
		w.line("Running since %s, version %s, at %s.", s.Started.Format(clock), s.Version, s.URL)
	} else {
		w.line("Not running.")
	}
	for _, p := range s.Problems {
		w.line("\nLOOK: %s", printable(p))
	}
	w.line("")
	w.item("directory", "%s", s.Dir)
	w.item("log", "%s", s.Log)
	if !s.Generation.IsZero() {
		w.item("generation", "%s", s.Generation)
	}
	last := ""
	if !s.Last.IsZero() {
		last = ", the last of " + s.Last.Format(clock)
	}
	w.item("records", "%s%s, term %d", number(uint64(s.Size)), last, s.Term)
	w.item("root", "%s", s.Root)
	s.Node.write(w)
	s.writeLedger(w)
	s.writeViews(w)
	for _, e := range s.Erasures {
		w.item("erasure", "of %s, recorded at %d (%s): %s", e.Subject, e.Position, e.Since.Format(clock), e.Step)
	}
	w.item("keys", "%s, %d destroyed", count(s.Keys.Held, "key", "keys"), s.Keys.Destroyed)
	for _, d := range s.Disk {
		w.item("on disk", "%-10s %9s  %s", d.Name, megabytes(d.Bytes), d.Path)
	}
	if s.Restored != nil {
		w.item("restored", "from a backup of %s; no server has opened it since", s.Restored.Made.Format(clock))
	}
}

func (n *NodeStatus) problem() string {
	if n == nil {
		return ""
	}
	return n.Problem
}

func (n *NodeStatus) write(w writer) {
	switch {
	case n == nil:
		return
	case n.Leads:
		w.item("node", "appends to the log; its lease lasts %s", n.Left.Round(time.Millisecond))
	case n.Left > 0:
		w.item("node", "follows %s, whose lease lasts %s", printable(cmp.Or(n.Holder, "a node without an address")), n.Left.Round(time.Millisecond))
	default:
		w.item("node", "follows; nobody holds the log at the moment")
	}
	w.item("", "%s forwarded, %s without an answer", count(n.Forwarded, "change", "changes"), number(n.Failed))
}

func (s *Status) writeLedger(w writer) {
	switch c := s.Checkpoint; {
	case c.Size == 0:
		w.item("checkpoint", "none yet")
	case c.Behind == 0:
		w.item("checkpoint", "covers all records")
	default:
		w.item("checkpoint", "covers %s; %s not, since %s", count(uint64(c.Size), "record", "records"), number(uint64(c.Behind)), c.Covers.Format(clock))
	}
	agrees := "the log continues it"
	if !s.Register.Agrees {
		agrees = "the log does not continue it"
	}
	w.item("register", "%s; %s", s.Register.Says, agrees)
}

func (s *Status) writeViews(w writer) {
	v := s.Views
	text := "at the end of the log"
	if v.Behind > 0 {
		text = count(uint64(v.Behind), "record", "records") + " behind"
	}
	if v.Lag > 0 {
		text += ", for " + v.Lag.Round(time.Millisecond).String()
	}
	if p := v.Rebuilding; p != nil {
		text += ", being rebuilt: " + number(uint64(p.Done)) + " of " + number(uint64(p.Total))
	}
	w.item("views", "%d, %s", len(v.Names), text)
	for _, name := range v.Missing {
		w.item("", "%s is not built yet", name)
	}
}

// megabytes writes a number of bytes.
func megabytes(n int64) string {
	if n < 1e5 {
		return number(uint64(n)) + " B"
	}
	return number(uint64(n/1e5)/10) + "." + string('0'+byte(n/1e5%10)) + " MB"
}
