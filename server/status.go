package server

import (
	"context"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/instance"
	"muniment.dev/ops"
	"muniment.dev/seal"
)

// Program is what this version declares, for commands on data directories.
func Program() ops.Program {
	return ops.Program{Registry: Registry(), Views: Views(), Version: Version(), CheckpointSigner: checkpointSigner}
}

// checkpointSigner implements ops.Program.
func checkpointSigner(ctx context.Context, l *eventlog.Log, s *seal.Sealer) (string, error) {
	first, err := l.Record(ctx, 1)
	if err != nil {
		return "", err
	}
	s.Instance = event.SubjectID{ID: first.Stream.ID}
	id := first.Stream.ID
	st, err := decide.Read(ctx, &decide.Runner{Log: l, Sealer: s}, "instance", instance.Facts(id), instance.State{}, instance.Evolve)
	if err != nil {
		return "", err
	}
	secret, ok := st.CheckpointSigner.Get()
	if !ok {
		return "", fault.New(fault.Unavailable, "the instance's own secrets cannot be opened: keys.db or root.key are not those of this log")
	}
	return secret, nil
}

// answerStatus answers ops.AskStatus.
func (s *Server) answerStatus(ctx context.Context, _ func(any)) (any, error) { return s.Status(ctx) }

// Status is how the server is, for operators.
func (s *Server) Status(ctx context.Context) (*ops.Status, error) {
	l := layout(s.config)
	state, err := s.Core.register.Load(ctx) // before the mark, which is never behind it
	m := s.Core.Log.Mark()
	if dir, err := filepath.Abs(l.Dir); err == nil {
		l.Dir = dir
	}
	st := &ops.Status{Dir: l.Dir, Running: true, Version: Version(), Started: s.started.UTC(), URL: s.URL(), Log: s.Core.Log.ID(),
		Size: m.Size, Root: tlog.Hash(m.Root), Last: m.Time, Term: m.Term, Disk: ops.Disk(l), Keys: ops.CountKeys(ctx, l)}
	if g := s.Core.Log.Generation(); g != st.Log {
		st.Generation = g
	}
	st.Ledger(state, err)
	if c := s.Core.Publisher.Latest(); c.Size > 0 {
		st.Checkpoint = ops.CheckpointStatus{Size: c.Size, Behind: m.Size - min(c.Size, m.Size)}
		r, err := s.Core.Log.Record(ctx, c.Size)
		if err != nil {
			return nil, err
		}
		st.Checkpoint.Covers = r.Time
	}
	if err := s.Core.Publisher.Err(); err != nil {
		st.Checkpoint.Error = err.Error()
	}
	st.Views = s.viewsStatus()
	st.Node = s.nodeStatus()
	for _, e := range s.Core.Erasure.Pending() {
		p := ops.ErasureStatus{Subject: e.Subject, Position: e.Position, Since: e.Since, Step: string(e.Step)}
		if e.Err != nil {
			p.Error = e.Err.Error()
		}
		st.Erasures = append(st.Erasures, p)
	}
	return st, nil
}

// nodeStatus is what the server is among nodes; nil if it shares no log.
func (s *Server) nodeStatus() *ops.NodeStatus {
	r := s.Core.Log.Role()
	if !r.Several {
		return nil
	}
	n := &ops.NodeStatus{Leads: r.Leads, Holder: r.Holder.Address, Left: r.Left, Forwarded: r.Forwarded, Failed: r.Failed}
	if r.Refused != nil && !r.Leads {
		n.Problem = r.Refused.Error()
	}
	return n
}

func (s *Server) viewsStatus() ops.ViewsStatus {
	v := s.Core.Views.Status()
	out := ops.ViewsStatus{Applied: v.Applied, Behind: v.Mark - min(v.Applied, v.Mark), Lag: v.Lag, Names: s.Core.Views.Names(), Missing: v.Missing, Rebuilding: v.Rebuilding}
	for _, err := range []error{v.RebuildErr, v.Retrying, v.Stopped} { // the last is the worst
		if err != nil {
			out.Error = err.Error()
		}
	}
	return out
}
