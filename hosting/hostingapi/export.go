package hostingapi

import (
	"bufio"
	"context"

	"connectrpc.com/connect"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/decide"
	"muniment.dev/hosting"
	"muniment.dev/ledger"
)

// chunk is how much of a file one message holds, in bytes.
const chunk = 256 << 10

// ExportHostedInstance hands out a copy of an instance's log. That it was asked
// for is recorded before the first byte goes.
func (s *Service) ExportHostedInstance(ctx context.Context, req *munimentv1.ExportHostedInstanceRequest, stream *connect.ServerStream[munimentv1.ExportHostedInstanceResponse]) error {
	id, err := adapter.ID(idField, req.GetInstanceId())
	if err != nil {
		return err
	}
	env, err := s.envelope(ctx, req)
	if err != nil {
		return err
	}
	var e Export
	_, err = decide.RunPrepared(ctx, s.core.Runner, hosting.Exporting, env, hosting.Export{Instance: id}, func(c hosting.Export) (hosting.Export, error) {
		if err := s.exportable(ctx, c); err != nil {
			return c, err
		}
		var err error
		if e, err = s.fleet.Export(ctx, id); err == nil {
			c.Size, c.Root = int64(e.Tree().Size), e.Tree().Root
		}
		return c, err
	})
	if e != nil {
		defer e.Close()
	}
	if err != nil {
		return err
	}
	return send(ctx, e, stream)
}

// exportable refuses what the decider would refuse, before a snapshot is taken.
func (s *Service) exportable(ctx context.Context, c hosting.Export) error {
	st, err := decide.Read(ctx, s.core.Runner, "hosted instance", hosting.Facts(c.Instance), hosting.State{}, hosting.Evolve)
	if err != nil {
		return err
	}
	_, err = hosting.Exporting.Decide(st, c)
	return err
}

// send writes a snapshot into a stream, with how far it is.
func send(ctx context.Context, e Export, stream *connect.ServerStream[munimentv1.ExportHostedInstanceResponse]) error {
	w := &chunks{stream: stream, tree: e.Tree()}
	b := bufio.NewWriterSize(w, chunk)
	err := e.Write(ctx, b, func(done, of int64) { w.done, w.of = uint64(min(done, of)), uint64(of) })
	if err == nil {
		err = b.Flush()
	}
	if err != nil {
		return err
	}
	w.done = w.of // the sums in the file were not announced
	return w.send(nil, true)
}

// chunks writes into a stream.
type chunks struct {
	stream   *connect.ServerStream[munimentv1.ExportHostedInstanceResponse]
	tree     ledger.Tree
	done, of uint64
}

// Write implements io.Writer.
func (c *chunks) Write(b []byte) (int, error) { return len(b), c.send(b, false) }

func (c *chunks) send(b []byte, complete bool) error {
	return c.stream.Send(&munimentv1.ExportHostedInstanceResponse{Chunk: b, Position: uint64(c.tree.Size), Count: uint64(c.tree.Size),
		Complete: complete, BytesDone: c.done, BytesTotal: c.of})
}
